from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from keelson.migrations.lint import Finding
from keelson.migrations.lint.foreseen import Lock, StatementPlan
from keelson.migrations.lint.work import Work
from keelson.preview import Document, failed_document, markdown
from keelson.preview.document import Danger, FilePlan, PartChange
from keelson.preview.writing import LARGEST, code, marker

HOSTILE = "a|b`c`</code></details><img src=x onerror=alert(1)>*x*_y_[z](http://e)\n\n# h\r\n@admin #1 $m$ ~~s~~ \\| &lt; <!-- -->"


def change(name: str = "auth", *files: FilePlan) -> PartChange:
    return PartChange(name, "database", "main", "changed", files, (), ())


def plain(**more: object) -> Document:
    counts = {"create": 0, "update": 1, "replace": 0, "delete": 0, "unchanged": 9}
    return replace(Document("dev", "changes", "nothing destructive", counts), **more)  # type: ignore[arg-type]


class Text(HTMLParser):
    """The tags of a text, and what stands between them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_any_text_shows_as_it_is_and_is_no_markup() -> None:
    shown = code(HOSTILE)
    read = Text(shown)
    assert read.tags == ["code"]
    assert "".join(read.texts) == " ".join(HOSTILE.split())
    inner = shown.removeprefix("<code>").removesuffix("</code>")
    assert not re.sub(r"&#\d+;", "", inner).strip(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;()/=+-'"
    )


PLACES = ["file", "plan", "where", "what", "error", "warning", "stack", "name", "rule", "message", "command", "table"]


def planned(table: str, command: str, rule: str, message: str) -> FilePlan:
    statement = StatementPlan(3, command, "", (Lock(table, "SHARE"),), (Work("scans", table, "CHECK c", 12_345),), ())
    finding = Finding("002.sql", "sql/auth/migrations/002.sql", 3, "warning", rule, message)
    return FilePlan("002.sql", "", "", "", reversible=True, statements=(statement,), findings=(finding,))


@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_text_breaks_neither_table_nor_tags(place: str) -> None:
    def at(wanted: str) -> str:
        return HOSTILE if place == wanted else "x"

    document = plain(
        stack=at("stack"),
        destructive=(Danger(at("where"), at("file"), at("what")),),
        databases=(
            change(
                at("name"),
                FilePlan(at("file"), at("plan"), "", ""),
                planned(*map(at, ("table", "command", "rule", "message"))),
            ),
        ),
        errors=(at("error"),),
        warnings=(at("warning"),),
    )
    text = markdown(document)
    assert set(Text(text).tags) <= {"code", "details", "summary"}
    assert text.count("<details>") == text.count("</details>")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {6}
    assert not [line for line in text.splitlines() if line.startswith("# ")]
    assert text.startswith("<!-- keelson preview of ")


def test_a_long_document_fits_into_a_comment_and_says_what_is_left_out() -> None:
    files = tuple(FilePlan(f"{number:03d}_x.sql", "creates table t " * 40, "", "") for number in range(200))
    text = markdown(plain(databases=tuple(change(f"db{number}", *files) for number in range(300))))
    assert len(text) < LARGEST + 5000 <= 65_536
    assert "and 260 more" in text
    assert "does not fit here" in text
    assert text.count("<details>") == text.count("</details>")


def test_the_marker_is_a_comment_whatever_the_stack_is_called() -> None:
    assert marker("pr-1 --><b>") == "<!-- keelson preview of pr-1--b -->"


def test_a_preview_that_could_not_begin_says_why() -> None:
    text = markdown(failed_document("dev", "the Pulumi engine is missing; run `make setup`"))
    assert "FAILS" in text
    assert "the Pulumi engine is missing" in text


def test_a_file_shows_what_reads_or_writes_all_rows_and_what_the_linter_says() -> None:
    file = planned("users", "ALTER TABLE", "json-type", "use jsonb")
    text = markdown(plain(databases=(change("auth", file),)))
    assert "- line 3: <code>ALTER TABLE</code> <code>scans users (CHECK c)</code>, about 12 thousand rows" in text
    assert "- warning <code>json-type</code> in line 3: <code>use jsonb</code>" in text


def test_the_strongest_lock_is_that_on_a_table_that_was_there_before() -> None:
    file = FilePlan("002.sql", "INSERT a: ROW EXCLUSIVE; ALTER TABLE a: ACCESS EXCLUSIVE", "", "")
    for status, locks in (("changed", 1), ("new", 0)):
        document = plain(databases=(replace(change("auth", file), status=status),))
        table = markdown(document).partition("<details>")[0]
        assert table.count("ACCESS EXCLUSIVE") == locks
