from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from keelson.errors import MigrationError
from keelson.migrations.files import read_directory, refuse_changed


def write(directory: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = directory / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def refused(directory: Path) -> str:
    with pytest.raises(MigrationError) as caught:
        read_directory(directory, directory.parent)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10_ten.sql", "9_nine.sql", "001_one.sql", "2.sql"):
        (tmp_path / name).write_text("SELECT 1;")
    assert [(file.version, file.name) for file in read_directory(tmp_path)] == [
        (1, "001_one.sql"),
        (2, "2.sql"),
        (9, "9_nine.sql"),
        (10, "10_ten.sql"),
    ]


def test_the_description_is_in_the_name_or_in_the_first_comment(tmp_path: Path) -> None:
    (tmp_path / "001_add_users.sql").write_text("SELECT 1")
    (tmp_path / "2.sql").write_text("\n-- Description: Add index to trades table \nSELECT 1")
    (tmp_path / "3.sql").write_text("SELECT 1; -- Description: no")
    assert [file.description for file in read_directory(tmp_path)] == ["add users", "Add index to trades table", ""]


def test_a_hash_sees_neither_line_ends_nor_a_byte_order_mark(tmp_path: Path) -> None:
    text = "SELECT 'ä';\nSELECT 2;\n"
    (tmp_path / "1.sql").write_bytes(text.encode())
    (tmp_path / "2.sql").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    first, second = read_directory(tmp_path)
    assert first.text_sha256 == second.text_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert first.sha256 == second.sha256
    assert second.up.text() == text


def test_an_undo_belongs_to_its_migration(tmp_path: Path) -> None:
    (tmp_path / "001_a.sql").write_text("CREATE TABLE a ()")
    (tmp_path / "001_a.down.sql").write_text("DROP TABLE a")
    (tmp_path / "2.sql").write_text("SELECT 1")
    one, two = read_directory(tmp_path)
    assert one.undo
    assert one.undo.text() == "DROP TABLE a"
    assert two.undo is None


def test_an_undo_without_a_migration_is_refused(tmp_path: Path) -> None:
    write(tmp_path, **{"002_b.down.sql": "DROP TABLE b"})
    assert "002_b.down.sql undoes 002_b.sql, which is missing" in refused(tmp_path)


def test_hidden_files_and_notes_are_not_migrations(tmp_path: Path) -> None:
    write(tmp_path, **{".gitkeep": "", "README.md": "x", "1.sql": "SELECT 1"})
    assert len(read_directory(tmp_path)) == 1


def test_an_empty_directory_has_no_migrations(tmp_path: Path) -> None:
    assert read_directory(tmp_path) == ()


@pytest.mark.parametrize(
    "name",
    [
        "users.sql",
        "V1__users.sql",
        "001 users.sql",
        "001_users.sql~",
        "001-users.sql",
        "001_.sql",
        "_1.sql",
        "1_a.SQL",
        "1.down",
        "001_a.py",
    ],
)
def test_a_bad_name_is_refused_and_never_skipped(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("SELECT 1")
    assert f"{tmp_path.name}/{name} is no migration's name" in refused(tmp_path)


def test_a_folder_that_is_named_like_a_migration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.sql").mkdir()
    assert "1.sql is no migration's name" in refused(tmp_path)


def test_two_files_of_one_version_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, **{"001_a.sql": "SELECT 1", "1.sql": "SELECT 1"})
    message = refused(tmp_path)
    assert "001_a.sql" in message
    assert "1.sql have the same version 1" in message


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path.name}/migrations is missing" in refused_at(tmp_path / "migrations", tmp_path.parent)


def refused_at(directory: Path, root: Path) -> str:
    with pytest.raises(MigrationError) as caught:
        read_directory(directory, root)
    return str(caught.value)


@pytest.mark.parametrize("content", ["", " \n\t\n", "\ufeff\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "1.sql").write_text(content, encoding="utf-8")
    assert "1.sql is empty" in refused(tmp_path)


def test_a_file_that_is_not_utf8_is_refused_with_line_and_byte(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_bytes(b"SELECT 1;\nSELECT '\xe4';")
    assert "1.sql:2: not UTF-8 at byte 18" in refused(tmp_path)


def test_a_version_that_no_bigint_holds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "9999999999999999999_a.sql").write_text("SELECT 1")
    assert "is larger than 9223372036854775807" in refused(tmp_path)


def test_a_plan_holds_for_the_files_that_it_was_made_of(tmp_path: Path) -> None:
    write(tmp_path, **{"1.sql": "SELECT 1", "2.sql": "SELECT 2"})
    files = read_directory(tmp_path)
    planned = {file.name: file.sha256 for file in files}
    refuse_changed(files, planned)
    for other, what in (
        (planned | {"2.sql": "0"}, "2.sql changed since"),
        (planned | {"3.sql": "0"}, "3.sql is gone since"),
        ({"1.sql": planned["1.sql"]}, "2.sql is new since"),
    ):
        with pytest.raises(MigrationError, match=what):
            refuse_changed(files, other)
