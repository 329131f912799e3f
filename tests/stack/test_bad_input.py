"""Bad input: one sentence that names key, file or object and the next step, and nothing changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import psycopg
import pytest

from tests.stack.harness import StackUnderTest, changed, notes_up

GOOD_UNDO = "SELECT 1;\n"


def _unknown_setting(stack: StackUnderTest) -> None:
    stack.write_settings(targett="local")


def _bad_name(stack: StackUnderTest) -> None:
    stack.write_service("Robert'); DROP TABLE students;--")


def _missing_directory(stack: StackUnderTest) -> None:
    shutil.rmtree(stack.root / "sql/notes/migrations")


def _syntax_error(stack: StackUnderTest) -> None:
    stack.write_service(
        "notes", {"migrations/002_x.sql": "SELECT 1;\nCREATE TABEL x ();\n", "migrations/002_x.down.sql": GOOD_UNDO}
    )


def _two_files_with_one_version(stack: StackUnderTest) -> None:
    stack.write_service("notes", {"migrations/001_again.sql": "SELECT 1;\n"})


def _not_utf_8(stack: StackUnderTest) -> None:
    (stack.root / "sql/notes/migrations/002_x.sql").write_bytes(b"SELECT '\xe4';\n")


def _edited_after_it_was_applied(stack: StackUnderTest) -> None:
    stack.write_service("notes", {"migrations/001_notes.sql": "CREATE TABLE notes (id int);\n"})


def _gone_after_it_was_applied(stack: StackUnderTest) -> None:
    (stack.root / "sql/notes/migrations/001_notes.down.sql").unlink()
    (stack.root / "sql/notes/migrations/001_notes.sql").rename(stack.root / "sql/notes/migrations/002_notes.sql")


def _unknown_parameter(stack: StackUnderTest) -> None:
    stack.write_settings(postgres={"wrok_mem": "4MB"})


def _owned_parameter(stack: StackUnderTest) -> None:
    stack.write_settings(postgres={"listen_addresses": "*"})


def _unknown_extension(stack: StackUnderTest) -> None:
    (stack.root / "sql/notes/database.yaml").write_text("server: main\nextensions: [nosuchextension]\n")


def _unknown_seeds(stack: StackUnderTest) -> None:
    (stack.root / "sql/notes/database.yaml").write_text("server: main\nseeds: {dev: [nowhere]}\n")


CASES: list[tuple[Callable[[StackUnderTest], None], str]] = [
    (_unknown_setting, "unknown setting 'keelson:targett'; did you mean 'target'?"),
    (_bad_name, 'DROP TABLE students;--" is not allowed'),
    (_missing_directory, "sql/notes/migrations is missing"),
    (_syntax_error, "sql/notes/migrations/002_x.sql:2"),
    (_two_files_with_one_version, "have the same version 1"),
    (_not_utf_8, "002_x.sql:1: not UTF-8"),
    (_edited_after_it_was_applied, "001_notes.sql was changed after it was applied"),
    (_gone_after_it_was_applied, "001_notes.sql was applied, but its file is gone"),
    (_unknown_parameter, "wrok_mem"),
    (_owned_parameter, "listen_addresses"),
    (_unknown_extension, "nosuchextension"),
    (_unknown_seeds, "seeds/nowhere is missing"),
]


@pytest.fixture(scope="module")
def running(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """One stack that all cases break in turn and find again as it was."""
    return notes_up(make_shared_stack)


@pytest.mark.parametrize(("spoil", "sentence"), CASES, ids=[case[0].__name__.strip("_") for case in CASES])
def test_bad_input_is_one_sentence_and_changes_nothing(
    running: StackUnderTest, spoil: Callable[[StackUnderTest], None], sentence: str
) -> None:
    folder, settings = running.root / "sql", dict(running.settings)
    shutil.copytree(folder, running.home / "good")
    before, url = _urns(running), running.url("notes", "admin")
    try:
        spoil(running)
        refused = running.keelson("up", check=False)
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1
        assert sentence in said
        assert "Traceback" not in said
        assert _rows(url) == 10
    finally:
        shutil.rmtree(folder)
        shutil.move(running.home / "good", folder)
        running.settings = settings
        running.write_settings()
    assert _urns(running) == before
    assert _rows(url) == 10
    said = running.keelson("up").stdout
    assert not changed(said)
    assert "DockerSettings" in said or "to update" not in said


def _urns(stack: StackUnderTest) -> set[str]:
    return {resource["urn"] for resource in stack.export()["deployment"]["resources"]}


def _rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM notes").fetchone()
    assert row
    return int(row[0])
