"""`keelson migrate new`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keelson.migrations import read_directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: keelson\nruntime: python\n")
    folder = tmp_path / "sql" / "auth" / "migrations"
    folder.mkdir(parents=True)
    (folder.parent / "database.yaml").write_text("server: main\n")
    (folder / "007_users.sql").write_text("CREATE TABLE users ();")
    return tmp_path


def new(root: Path, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "keelson", "migrate", "new", "auth", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.removeprefix("made ") for line in done.stdout.splitlines()]


def test_a_migration_and_its_undo_get_the_next_number(root: Path) -> None:
    up, down = new(root, "Add phone\nto users")
    assert (up, down) == (
        "sql/auth/migrations/008_add_phone_to_users.sql",
        "sql/auth/migrations/008_add_phone_to_users.down.sql",
    )
    assert (root / up).read_text().startswith("-- Description: Add phone to users\n")
    assert (root / down).read_text() == "-- Undo: Add phone to users\n"
    with (root / up).open("a") as file:
        file.write("ALTER TABLE users ADD phone text;\n")
    written = read_directory(root / "sql/auth/migrations")[-1]
    assert (written.description, written.transaction) == ("Add phone to users", True)


def test_without_a_transaction_and_without_an_undo(root: Path) -> None:
    (up,) = new(root, "index users", "--no-transaction", "--no-undo")
    written = read_directory(root / "sql/auth/migrations")[-1]
    assert (written.up.source.endswith(up), written.description) == (True, "index users")
    assert not written.transaction
    assert written.undo is None


def test_the_services_template_comes_before_the_projects(root: Path) -> None:
    (root / "sql/template.sql").write_text("-- Description: {{description}}\n-- Ticket:\nSELECT '{}'::jsonb;\n")
    (root / "sql/template.down.sql").write_text("-- {{service}} {{number}}\n")
    up, down = new(root, "a")
    assert (root / up).read_text() == "-- Description: a\n-- Ticket:\nSELECT '{}'::jsonb;\n"
    assert (root / down).read_text() == "-- auth 008\n"
    (root / "sql/auth/template.sql").write_text("-- Owner: auth\n")
    up, _ = new(root, "b", "--no-transaction")
    assert (root / up).read_text() == "-- keelson: no-transaction\n-- Owner: auth\n"
