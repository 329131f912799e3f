"""dbmate: numbered files with `-- migrate:up` and `-- migrate:down`."""

from __future__ import annotations

from keelson.migrations.files import MigrationFile
from keelson.migrations.formats import sections
from keelson.migrations.formats.directory import Directory
from keelson.migrations.parts import Part

NAME = "dbmate"
EXAMPLE = "20260131120000_add_users.sql"
_MARKER = sections.marker(rb"migrate:(?=(?:up|down)\b)")
_TRANSACTION = {"transaction:true": True, "transaction:false": False}


def detect(directory: Directory) -> bool:
    """Say whether the numbered files are dbmate's."""
    return sections.has_marker(directory, _MARKER)


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the migrations; raises MigrationError as reading a directory does, and for what is not supported."""
    return sections.read_numbered(directory, NAME, EXAMPLE, _cut)


def _cut(file: Part) -> tuple[Part, Part | None]:
    text = sections.Text(file, _MARKER)
    kinds = [marker.text.split()[0].lower() for marker in text.markers]
    if kinds not in (["up"], ["up", "down"]):
        text.refuse(0, "must have one line `-- migrate:up`, and after it at most one `-- migrate:down`; correct it")
    up, *downs = text.markers
    text.refuse_sql_before(up.start, "stands before the line `-- migrate:up`; move it below")
    first = text.between(up.end, downs[0].start if downs else None, transaction=_transaction(text, up))
    return first, text.between(downs[0].end, None, transaction=_transaction(text, downs[0])) if downs else None


def _transaction(text: sections.Text, marker: sections.Marker) -> bool:
    chosen = True
    for option in sections.options_of(marker.text):
        if option not in _TRANSACTION:
            text.refuse(marker.start, f"dbmate's option {option!r} is not known; there is transaction:false")
        chosen = _TRANSACTION[option]
    return chosen
