"""What may happen to a service: taken out, put back, renamed, moved. Refused or done, never lost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import psycopg
import pytest

from keelson.local import client
from tests.stack.harness import NOTES, StackUnderTest


@pytest.fixture(scope="module")
def stack(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """One stack for all tests, with two servers, up."""
    made = make_shared_stack(servers={"main": {}, "second": {}})
    made.write_service("notes")
    made.write_service("other", NOTES)
    made.keelson("up")
    return made


def test_a_service_that_is_taken_out_leaves_a_dump_that_restores_and_comes_back_with_its_migrations(
    stack: StackUnderTest,
) -> None:
    with stack.connect("notes", "app") as connection:
        connection.execute("INSERT INTO notes (body) VALUES ('mine')")
    _work_by_hand(stack)
    kept = stack.home / "kept"
    shutil.move(stack.root / "sql/notes", kept)
    stack.keelson("up")
    (backup,) = stack.backups_of("notes")
    _restores(stack, backup)
    _find_what_was_made_by_hand(stack)
    with stack.connect("other", "admin") as connection:
        assert connection.execute("SELECT count(*) FROM pg_database WHERE datname = 'notes'").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'notes%'").fetchone() == (0,)
    assert stack.count("other", "notes") == 10
    shutil.move(kept, stack.root / "sql/notes")
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10
    assert len(stack.backups_of("notes")) == 1


def _work_by_hand(stack: StackUnderTest) -> None:
    """Make what is not the stack's: a login with a database, in which a role of the service has something."""
    with stack.connect("notes", "admin") as admin:
        admin.execute("CREATE ROLE person LOGIN; GRANT SELECT ON notes TO person; GRANT notes_readonly TO person")
        admin.execute("CREATE DATABASE theirs OWNER person")
    with psycopg.connect(_service_url(stack, "theirs"), autocommit=True) as theirs:
        theirs.execute("CREATE TABLE lent (a int); INSERT INTO lent VALUES (1); ALTER TABLE lent OWNER TO notes_owner")
        theirs.execute("CREATE TABLE own (a int); ALTER TABLE own OWNER TO person; GRANT SELECT ON own TO notes_app")


def _find_what_was_made_by_hand(stack: StackUnderTest) -> None:
    with psycopg.connect(_service_url(stack, "theirs"), autocommit=True) as theirs:
        owners = "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        assert theirs.execute(owners).fetchall() == [("lent", "postgres"), ("own", "person")]
        assert theirs.execute("SELECT a FROM lent").fetchall() == [(1,)]
    with stack.connect("other", "admin") as admin:
        admin.execute("DROP DATABASE theirs")
        admin.execute("DROP ROLE person")


def _restores(stack: StackUnderTest, backup: str) -> None:
    dump = stack.fetch(f"notes/{backup}/data.dump")
    with stack.connect("other", "admin") as connection:
        connection.execute("CREATE DATABASE restored TEMPLATE template0")
    with dump.open("rb") as file:
        done = subprocess.run(
            [
                *client.command("pg_restore"),
                "--no-owner",
                "--no-privileges",
                f"--dbname={_service_url(stack, 'restored')}",
            ],
            stdin=file,
            capture_output=True,
            check=False,
            env=stack.environment,
        )
    assert done.returncode == 0, done.stderr
    with psycopg.connect(_service_url(stack, "restored")) as connection:
        assert connection.execute("SELECT count(*), count(*) FILTER (WHERE body = 'mine') FROM notes").fetchone() == (
            11,
            1,
        )
    with stack.connect("other", "admin") as connection:
        connection.execute("DROP DATABASE restored")


def _service_url(stack: StackUnderTest, database: str) -> str:
    return stack.url("other", "admin").replace("/other?", f"/{database}?")


def test_a_service_that_is_moved_to_another_server_is_refused_and_untouched(stack: StackUnderTest) -> None:
    (stack.root / "sql/notes/database.yaml").write_text("server: second\n")
    refused = stack.keelson("up", check=False)
    assert refused.returncode == 1
    assert "server cannot change from 'main' to 'second'; a service stays on its server" in refused.stdout
    (stack.root / "sql/notes/database.yaml").write_text("server: main\n")
    assert stack.count("notes", "notes") == 10
    assert "to update" not in stack.keelson("up").stdout


def test_a_service_that_is_renamed_keeps_its_rows_in_a_dump(stack: StackUnderTest) -> None:
    before = len(stack.backups_of("notes"))
    with stack.connect("notes", "app") as connection:
        connection.execute("INSERT INTO notes (body) VALUES ('mine')")
    (stack.root / "sql/notes").rename(stack.root / "sql/memos")
    stack.keelson("up")
    assert stack.count("memos", "notes") == 10
    assert len(stack.backups_of("notes")) == before + 1
