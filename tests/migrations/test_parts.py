from __future__ import annotations

from pathlib import Path

import pytest

from keelson.errors import MigrationError
from keelson.migrations.parts import LARGE, Part, text_hash
from keelson.migrations.script import BLOCK
from keelson.migrations.statements import statements_of

TEXT = "CREATE TABLE t (a int DEFAULT 1, b text);\nINSERT INTO t VALUES (1, 'it''s  -- no comment');\n"


def part(text: str) -> Part:
    return Part(Path("x.sql"), "x.sql", written=text)


@pytest.mark.parametrize(
    "same",
    [
        "-- licence\n" + TEXT,
        TEXT.replace("\n", "\r\n"),
        "\ufeff" + TEXT,
        TEXT.replace("CREATE TABLE t (a int", "CREATE  TABLE\n\tt ( /* the /* first */ */ a int"),
        TEXT.replace(", b", " , b").rstrip().rstrip(";"),
        "-- keelson: allow prefer-bigint: it is small\n" + TEXT,
        TEXT + ";;\n-- end",
        "\\restrict x\n" + TEXT,
    ],
)
def test_comments_and_white_space_are_no_part_of_the_meaning(same: str) -> None:
    assert part(same).facts().sha256 == part(TEXT).facts().sha256
    assert part(same).facts().text_sha256 != part(TEXT).facts().text_sha256 or "\r" in same or "\ufeff" in same


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("a int", "aint"),
        TEXT.replace("DEFAULT 1", "DEFAULT 2"),
        TEXT.replace("  -- no", " -- no"),
        TEXT.replace(";\n", " ", 1),
        TEXT.replace("INSERT", "COPY t FROM stdin;\n1\n\\.\nINSERT"),
        "-- keelson: no-transaction\n" + TEXT,
        TEXT.replace("t (", '"T" ('),
    ],
)
def test_what_changes_the_work_changes_the_meaning(other: str) -> None:
    assert part(other).facts().sha256 != part(TEXT).facts().sha256


def test_rows_of_a_copy_count_as_they_are() -> None:
    rows = "COPY t FROM stdin;\n1  2\n\\.\n"
    assert part(rows).facts().sha256 != part(rows.replace("  ", " ")).facts().sha256


def test_a_section_has_its_own_text_and_the_lines_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_bytes("\ufeff-- up\r\nSELECT 1;\r\n-- down\r\nSELECT 2;\r\nSELECT 3".encode())
    whole = Part(path, "x.sql").text()
    start = whole.index("-- down")
    section = Part(path, "x.sql", (start, len(whole)), 3)
    assert section.text() == "-- down\nSELECT 2;\nSELECT 3"
    assert [(statement.text, statement.line) for statement in statements_of(section)] == [
        ("SELECT 2", 4),
        ("SELECT 3", 5),
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_large_file_reads_like_a_small_one(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "x.sql"
    line = f"INSERT INTO t VALUES ('ä; {'b' * 4000}');{line_end}"
    number = LARGE // len(line.encode()) + 10
    path.write_text(line * number + f"COPY t FROM stdin;{line_end}1{line_end}\\.{line_end}SELECT 2", newline="")
    large = Part(path, "x.sql")
    *inserts, copy, last = statements_of(large)
    assert len(inserts) == number
    assert {statement.text for statement in inserts} == {line.rstrip().rstrip(";")}
    assert [statement.line for statement in inserts] == list(range(1, number + 1))
    assert copy.copy_data
    assert (copy.copy_data.text, copy.copy_data.line, last.line) == ("1\n", number + 2, number + 4)
    assert large.facts() == part(path.read_text()).facts()


def test_bytes_that_no_text_has_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_bytes(b"SELECT 1;\nSELECT '\xff'")
    with pytest.raises(MigrationError, match=r"x.sql:2: not UTF-8 at byte 18"):
        Part(path, "x.sql").facts()
    path.write_bytes(b"SELECT 1;\nSELECT '\0'")
    with pytest.raises(MigrationError, match=r"x.sql:2: a zero byte"):
        Part(path, "x.sql").facts()


def test_a_text_that_is_not_utf_8_is_named_with_its_line_whoever_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_bytes(b"\xef\xbb\xbfSELECT 1;\r\nSELECT '\xe4'")
    for read in (Part(path, "x.sql").text, Part(path, "x.sql").text_sha256):
        with pytest.raises(MigrationError, match=r"x.sql:2: not UTF-8 at byte 18; save the file as UTF-8"):
            read()


def test_a_large_file_with_carriage_returns_names_the_line_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    lines = LARGE // 4
    path.write_bytes(b"--\r\n" * lines + b"\xe4")
    with pytest.raises(MigrationError, match=rf"x.sql:{lines + 1}: not UTF-8"):
        Part(path, "x.sql").text()


def test_a_line_end_is_not_cut_where_a_line_is_as_long_as_a_block(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    rows = "x" * (BLOCK - 1) + "\r\n" + "ä" * BLOCK + "\r\n"
    text = f"COPY t FROM stdin;\r\n{rows}\\.\r\n" + "--\r\n" * (LARGE // 4)
    path.write_text(text, encoding="utf-8", newline="")
    (copy,) = statements_of(Part(path, "x.sql"))
    assert copy.copy_data
    assert text_hash(copy.copy_data.text) == text_hash(rows.replace("\r", ""))
    assert all(block.decode() for block in copy.copy_data.blocks())
    assert part(rows).text_sha256() == text_hash(rows.replace("\r", ""))
