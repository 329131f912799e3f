"""The product's own databases: all that looks like a person's is named, and the commands do what they say on a stack."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import psycopg
import pytest

from keelson.privacy.catalog import read_catalog
from keelson.privacy.check import faults, looks_personal
from keelson.privacy.subject import Subject
from keelson.settings.privacy import read_privacy
from tests.product import ROOT
from tests.sql import project
from tests.stack.harness import StackUnderTest


@pytest.mark.parametrize("database", project.DATABASES)
def test_all_that_looks_like_a_persons_is_named(connection: psycopg.Connection, database: str) -> None:
    catalog = read_catalog(connection)
    definition = read_privacy(ROOT / "sql" / database, ROOT)
    if definition is None:
        assert list(looks_personal(catalog)) == []
    else:
        assert list(faults(catalog, Subject(database, definition, lambda: connection))) == []


@pytest.fixture
def dora(ten: StackUnderTest) -> str:
    """A person of this test's own, in three databases."""
    person = str(uuid.uuid4())
    with ten.connect("auth", "admin") as auth:
        auth.execute(
            "INSERT INTO users (id, email, password_hash) VALUES (%s, %s, '!')", [person, f"{person}@example.com"]
        )
        auth.execute("INSERT INTO user_profiles (user_id, display_name) VALUES (%s, 'Dora')", [person])
    with ten.connect("notifications", "admin") as notifications:
        notifications.execute(
            "INSERT INTO user_contacts (user_id, channel, address) VALUES (%s, 'email', 'dora@example.com')", [person]
        )
    with ten.connect("signals", "admin") as signals:
        signals.execute("INSERT INTO customers (customer_id, name) VALUES (%s, 'Dora')", [person])
    return person


def _ids(ten: StackUnderTest, person: str) -> int:
    with ten.connect("auth", "admin") as auth:
        row = auth.execute("SELECT count(*) FROM users WHERE id = %s", [person]).fetchone()
    assert row
    return int(row[0])


def test_the_stacks_databases_pass_the_check(ten: StackUnderTest) -> None:
    found = json.loads(ten.keelson("privacy", "check", "--json").stdout)
    assert sorted(found) == project.DATABASES
    assert not any(found.values())


def test_a_person_is_exported_erased_and_erased_again_after_coming_back(
    ten: StackUnderTest, dora: str, tmp_path: Path
) -> None:
    out = tmp_path / "dora.json"
    said = ten.keelson("privacy", "export", "--user", dora, "--out", str(out)).stdout
    assert "auth: 4 rows" in said  # two of them are values in the audit trail
    assert (
        json.loads(out.read_text())["databases"]["signals"]["tables"]["public.customers"]["rows"][0]["name"] == "Dora"
    )
    said = ten.keelson("privacy", "erase", "--user", dora, "--dry-run").stdout
    assert "public.user_profiles" in said
    assert _ids(ten, dora) == 1
    typed = tmp_path / "typed"
    typed.write_text(f"another\n{dora}\n")
    with typed.open() as words:
        refused = ten.keelson("privacy", "erase", "--user", dora, stdin=words, check=False)
    assert (refused.returncode, _ids(ten, dora)) == (1, 1)
    assert "nothing is erased: that is another id" in refused.stderr
    typed.write_text(f"{dora}\n")
    with typed.open() as words:
        done = ten.keelson("privacy", "erase", "--user", dora, stdin=words)
    assert _ids(ten, dora) == 0
    assert "backups of auth that were made before now hold the rows until" in done.stderr
    receipt = Path(done.stdout.rpartition("receipt: ")[2].strip())
    assert dora not in receipt.read_text()
    assert "nothing is left to erase" in ten.keelson("privacy", "erase", "--user", dora, "--yes").stdout
    with ten.connect("auth", "admin") as auth:
        auth.execute("INSERT INTO users (id, email, password_hash) VALUES (%s, 'dora@example.com', '!')", [dora])
    assert "1 person erased before and here again" in ten.keelson("privacy", "again", "--dry-run").stdout
    ten.keelson("privacy", "again", "--yes")
    assert _ids(ten, dora) == 0


def test_an_erased_person_is_erased_in_a_restored_copy_too(ten: StackUnderTest, dora: str) -> None:
    ten.keelson("backup", "run", "auth")
    ten.keelson("privacy", "erase", "--user", dora, "--yes")
    ten.keelson("restore", "auth", "--into", "auth_copy")
    try:
        said = ten.keelson("privacy", "again", "auth", "--database", "auth_copy", "--yes").stdout
        assert "1 person erased before and here again" in said
        assert "auth_copy: 6 rows erased" in said  # with the values that the trail had, and got now
    finally:
        ten.keelson("restore", "auth", "--discard", "auth_copy")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "--user", " "], "--user is empty"),
        (["export", "--user", "99999999-9999-4999-8999-999999999999"], "no row of"),
        (["again", "--database", "auth_copy"], "name the service too"),
        (["again", "market"], "privacy.yaml is missing"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(ten: StackUnderTest, arguments: list[str], told: str) -> None:
    refused = ten.keelson("privacy", *arguments, check=False)
    assert refused.returncode != 0
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1
