"""A preview as a document, made by the real engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.harness import NOTES, StackUnderTest

SECRET = "correcthorsebatterystaple"


@pytest.fixture(scope="module")
def up(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """One stack for the whole module, up; a test puts back what it changes."""
    stack = make_shared_stack()
    stack.write_service("notes")
    stack.write_service("other", NOTES)
    stack.keelson("up")
    return stack


@pytest.fixture
def stack(up: StackUnderTest, tmp_path: Path) -> Iterator[StackUnderTest]:
    kept, settings = tmp_path / "kept", dict(up.settings)
    shutil.copytree(up.root, kept, symlinks=True)
    yield up
    shutil.rmtree(up.root)
    shutil.copytree(kept, up.root, symlinks=True)
    up.settings = settings


def document(stack: StackUnderTest, *, status: int = 0) -> dict[str, Any]:
    done = stack.keelson("preview", "--format", "json", check=False)
    assert done.returncode == status, done.stderr
    return dict(json.loads(done.stdout))


def markdown(stack: StackUnderTest) -> str:
    return stack.keelson("preview", "--format", "markdown", check=False).stdout


def test_nothing_to_do_is_one_line(stack: StackUnderTest) -> None:
    found = document(stack)
    assert (found["verdict"], found["databases"], found["parts"], found["destructive"]) == ("unchanged", [], [], [])
    marker, line, *more = [line for line in markdown(stack).splitlines() if line]
    assert not [each for each in more if "PATH" not in each]  # of a plugin that lies there the engine tells
    assert marker == f"<!-- keelson preview of {stack.name} -->"
    assert "nothing changes" in line


def test_a_pending_migration_shows_with_what_it_makes_and_locks(stack: StackUnderTest) -> None:
    text = "CREATE TABLE tags (name text PRIMARY KEY);\nALTER TABLE notes ADD rank int;\n"
    stack.write_service(
        "notes", {"migrations/002_tags.sql": text, "migrations/002_tags.down.sql": "DROP TABLE tags;\n"}
    )
    found = document(stack)
    assert found["verdict"] == "changes"
    assert found["headline"] == "nothing destructive, 1 database, 1 migration"
    (database,) = found["databases"]
    assert (database["name"], database["server"], database["status"]) == ("notes", "main", "changed")
    (file,) = database["migrations"]
    assert file["file"] == "002_tags.sql"
    assert file["plan"] == "creates table tags; ALTER TABLE notes: ACCESS EXCLUSIVE"
    assert found["counts"]["update"] == 2  # its migrations, and what is known of its catalog
    assert "| <code>002&#95;tags.sql</code> |  | <code>ALTER TABLE notes&#58; ACCESS EXCLUSIVE</code> |" in markdown(
        stack
    )


def test_a_pending_migration_shows_what_the_linter_says_and_an_error_stops_it(stack: StackUnderTest) -> None:
    text = "ALTER TABLE notes ADD stamp timestamptz DEFAULT clock_timestamp();\n"
    stack.write_service("notes", {"migrations/002_stamp.sql": text})
    found = document(stack)
    (file,) = found["databases"][0]["migrations"]
    assert file["plan"] == (
        "ALTER TABLE notes: ACCESS EXCLUSIVE; rewrites notes (the default of stamp differs from row to row); no undo; "
        "warning: adding-field-with-default in line 1"
    )
    assert [lock["mode"] for lock in file["statements"][0]["locks"]] == ["ACCESS EXCLUSIVE"]
    assert [finding["rule"] for finding in file["findings"]] == ["adding-field-with-default"]
    assert any("002_stamp.sql has adding-field-with-default in line 1" in warning for warning in found["warnings"])

    stack.write_settings(lint={"adding-field-with-default": "error"})
    assert "sql/notes/migrations/002_stamp.sql:1: adding-field-with-default: " in document(stack, status=1)["errors"][0]
    done = stack.keelson("migrate", "lint", "notes", check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "1 error in 1 file")
    allowed = f"-- keelson: allow adding-field-with-default: nobody writes at night\n{text}"
    stack.write_service("notes", {"migrations/002_stamp.sql": allowed})
    assert document(stack)["verdict"] == "changes"
    assert stack.keelson("migrate", "lint", "notes").stdout == "nothing wrong in 1 file\n"


def test_a_file_that_cannot_be_read_hides_no_other(stack: StackUnderTest) -> None:
    address = "postgresql://someone:" + "geheim123@db.example.com/x"
    seeds = {"seeds/dev/001_a.sql": f"SELECT '{address}';\n", "seeds/dev/002_b.csv": "\n"}
    stack.write_service("notes", {"migrations/002_stamp.sql": "SELEC 1;\n", **seeds})
    stack.write_service("other", {**NOTES, "migrations/002_rank.sql": "ALTER TABLE notes DROP COLUMN text;\n"})
    done = stack.keelson("migrate", "lint", "--all", "--environment", "prod", check=False)
    found = done.stdout.splitlines()
    assert (done.returncode, len(found), found[-1]) == (1, 5, "4 errors in 1 file")
    assert found[0].startswith("sql/other/migrations/002_rank.sql:1: error ban-drop-column: ")
    assert found[1].startswith("error: sql/notes/seeds/dev/001_a.sql:1: this looks like a password in a URL")
    assert found[2].startswith("error: sql/notes/seeds/dev/002_b.csv is empty")
    assert found[3].startswith("error: sql/notes/migrations/002_stamp.sql:1: ")


def test_what_is_destroyed_comes_first(stack: StackUnderTest) -> None:
    stack.write_service(
        "notes",
        {
            "migrations/002_drop.sql": "ALTER TABLE notes DROP COLUMN body;\n",
            "migrations/002_drop.down.sql": "SELECT 1;\n",
        },
    )
    stack.write_service("other", {"seeds/dev/002_clear.sql": "DELETE FROM notes;\n"})
    found = document(stack)
    assert found["verdict"] == "destructive"
    assert found["destructive"] == [
        {"where": "notes", "file": "002_drop.sql", "what": "drops column notes.body"},
        {"where": "other", "file": "dev/002_clear.sql", "what": "deletes every row of notes"},
    ]
    text = markdown(stack)
    assert text.index("DESTRUCTIVE") < text.index("drops column notes.body") < text.index("| part |")


def test_a_service_that_is_taken_out_is_a_loss(stack: StackUnderTest) -> None:
    stack.write_settings(databases=["notes"])
    found = document(stack)
    assert found["verdict"] == "destructive"
    (loss,) = found["destructive"]
    assert loss == {
        "where": "other",
        "file": "",
        "what": "database other is taken out of the stack; it is dropped after a dump",
    }


def test_a_server_that_is_taken_out_goes_with_its_data(make_stack: Callable[..., StackUnderTest]) -> None:
    stack = make_stack(servers={"main": {}, "second": {}})
    stack.write_service("notes")
    stack.keelson("up")
    stack.write_settings(servers={"main": {}})
    losses = [loss["what"] for loss in document(stack)["destructive"]]
    assert losses == ["server second is taken out of the stack; its data goes with it"]


def test_a_new_service_is_new_with_all_its_files(stack: StackUnderTest) -> None:
    stack.write_service("billing", NOTES)
    (database,) = document(stack)["databases"]
    assert (database["name"], database["status"]) == ("billing", "new")
    assert [file["file"] for file in database["migrations"]] == ["001_notes.sql"]
    assert [(file["file"], file["plan"]) for file in database["seeds"]] == [
        ("dev/001_notes.sql", "INSERT notes: ROW EXCLUSIVE")
    ]


def test_a_preview_is_the_same_every_time(stack: StackUnderTest) -> None:
    stack.write_service("billing", NOTES)
    stack.write_service("accounts", NOTES)
    assert document(stack) == document(stack)
    assert markdown(stack) == markdown(stack)


def test_a_changed_password_shows_by_name_alone(stack: StackUnderTest) -> None:
    stack.write_settings(passwords={"notes_app_a": SECRET})
    found = document(stack)
    assert SECRET not in json.dumps(found) + markdown(stack)
    (database,) = found["databases"]
    assert [(change["type"], change["op"]) for change in database["resources"]] == [("Roles", "update")]


def test_a_migration_that_is_no_sql_fails_with_a_document(stack: StackUnderTest) -> None:
    stack.write_service(
        "notes", {"migrations/002_bad.sql": "CRATE TABLE t;\n", "migrations/002_bad.down.sql": "SELECT 1;\n"}
    )
    found = document(stack, status=1)
    assert found["verdict"] == "failed"
    (error,) = found["errors"]
    assert "002_bad.sql:1: syntax error" in error
    assert "Traceback" not in error
    assert "FAILS" in markdown(stack)


def test_wrong_settings_fail_with_a_document(stack: StackUnderTest) -> None:
    stack.write_settings(environment="nowhere")
    found = document(stack, status=1)
    assert found["verdict"] == "failed"
    assert "environment" in found["errors"][0]


def test_a_document_is_written_to_a_file(stack: StackUnderTest, tmp_path: Path) -> None:
    path = tmp_path / "preview.md"
    done = stack.keelson("preview", "--format", "markdown", "--output", str(path))
    assert done.stdout == ""
    assert path.read_text().startswith(f"<!-- keelson preview of {stack.name} -->")
    refused = stack.keelson("preview", "--format", "json", "--output", str(tmp_path / "no/where"), check=False)
    assert refused.returncode == 1
    assert "cannot write" in refused.stderr


def test_a_stack_that_was_never_brought_up_has_a_preview(make_stack: Callable[..., StackUnderTest]) -> None:
    stack = make_stack()
    stack.write_service("notes")
    found = document(stack)
    assert found["verdict"] == "changes"
    assert [part["kind"] for part in found["parts"]] == ["server", "stack"]
    assert found["counts"]["unchanged"] == 0
