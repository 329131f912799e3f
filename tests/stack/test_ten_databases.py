"""The project as it ships: ten databases on two servers."""

from __future__ import annotations

import json
import re

import psycopg
import pytest

from tests.product import ALICE
from tests.stack.harness import StackUnderTest

DATABASES = [
    "analytics",
    "auth",
    "market",
    "nexanest",
    "notifications",
    "portfolio",
    "securities",
    "signals",
    "timeseries",
    "trading",
]


def test_all_ten_answer_to_their_applications(ten: StackUnderTest) -> None:
    status = json.loads(ten.keelson("status", "--json").stdout)
    assert status["well"]
    assert [database["name"] for database in status["databases"]] == DATABASES
    for name in DATABASES:
        with ten.connect(name) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (f"{name}_app_a",)


def test_a_second_up_is_all_unchanged(ten: StackUnderTest) -> None:
    said = ten.keelson("up").stdout
    assert re.search(r"^    \d+ unchanged$", said, re.MULTILINE)
    assert not re.search(r"\d+ (?:created|updated|replaced|deleted|to )", said)


def test_a_login_cannot_reach_another_services_database(ten: StackUnderTest) -> None:
    url = ten.url("auth")
    for name in ("portfolio", "nexanest", "postgres"):
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
            psycopg.connect(url.replace("/auth?", f"/{name}?"))


@pytest.mark.parametrize("form", ["plain", "asyncpg", "sqlalchemy", "jdbc"])
def test_every_form_of_a_url_has_all_that_a_driver_needs(ten: StackUnderTest, form: str) -> None:
    printed = ten.keelson("url", "auth", "--form", form).stdout.strip()
    assert {
        "plain": "postgresql://",
        "asyncpg": "postgresql://",
        "sqlalchemy": "postgresql+asyncpg://",
        "jdbc": "jdbc:postgresql://",
    }[form] == printed[: printed.index("://") + 3]
    assert "auth_app_a" in printed


def test_the_env_file_works_for_libpq(ten: StackUnderTest) -> None:
    lines = dict(line.split("=", 1) for line in ten.keelson("env", "auth").stdout.splitlines())
    done = ten.run(["psql", "-Atc", "select current_user"], env=ten.environment | lines)
    assert done.stdout.strip() == "auth_app_a"
    with psycopg.connect(lines["DATABASE_URL"]) as connection:
        assert connection.info.dbname == "auth"


@pytest.mark.local
def test_a_container_is_told_that_it_cannot_reach_loopback(ten: StackUnderTest) -> None:
    refused = ten.keelson("url", "auth", "--from", "container", check=False)
    assert refused.returncode == 1
    assert "answers on this host only" in refused.stderr


def test_wrong_use_ends_with_two(ten: StackUnderTest) -> None:
    assert ten.keelson("url", "auth", "--form", "odbc", check=False).returncode == 2
    assert ten.keelson("nonsense", check=False).returncode == 2


def test_an_unknown_service_is_one_sentence(ten: StackUnderTest) -> None:
    refused = ten.keelson("url", "billing", check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: stack {ten.name} has no service 'billing'; it has analytics")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("database", DATABASES)
def test_the_checks_of_a_database_find_nothing(ten: StackUnderTest, database: str) -> None:
    with ten.connect(database, "admin") as connection:
        for path in sorted((ten.root / "sql" / database / "checks").glob("*.sql")):
            assert connection.execute(path.read_bytes()).fetchall() == [], path.name


def test_an_erasure_that_nobody_confirms_is_refused_in_a_sentence(ten: StackUnderTest) -> None:
    done = ten.keelson("privacy", "erase", "--user", ALICE, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: nothing is erased, as nobody answered; add --yes where nobody can be asked\n"
    with ten.connect("auth", "admin") as admin:
        assert admin.execute("SELECT count(*) FROM users WHERE id = %s", [ALICE]).fetchone() == (1,)
