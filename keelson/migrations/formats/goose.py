"""goose: numbered files with `-- +goose Up` and `-- +goose Down`."""

from __future__ import annotations

import re

from keelson.migrations.files import MigrationFile
from keelson.migrations.formats import sections
from keelson.migrations.formats.directory import Directory
from keelson.migrations.parts import Part

NAME = "goose"
EXAMPLE = "00007_add_users.sql"
_MARKER = sections.marker(rb"\+goose[ \t]+")
_GO = re.compile(r"[0-9]+_.*\.go")


def detect(directory: Directory) -> bool:
    """Say whether the numbered files are goose's."""
    return sections.has_marker(directory, _MARKER)


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the migrations; raises MigrationError as reading a directory does, and for what is not supported."""
    for name in directory.names:
        if _GO.fullmatch(name) and not name.endswith("_test.go"):
            directory.refuse(name, "is a migration in Go, which cannot be run here; write it as SQL")
    return sections.read_numbered(directory, NAME, EXAMPLE, _cut)


def _cut(file: Part) -> tuple[Part, Part | None]:
    text = sections.Text(file, _MARKER)
    named = [(" ".join(marker.text.lower().split()), marker) for marker in text.markers]
    for said, marker in named:
        if said.startswith("envsub on"):
            text.refuse(
                marker.start, "goose's ENVSUB is not supported: the SQL must not depend on who runs it; take it out"
            )
    ups = [marker for said, marker in named if said == "up"]
    downs = [marker for said, marker in named if said == "down"]
    if len(ups) != 1 or len(downs) > 1 or (downs and downs[0].start < ups[0].start):
        text.refuse(0, "must have one line `-- +goose Up`, and after it at most one `-- +goose Down`; correct it")
    text.refuse_sql_before(ups[0].start, "stands before the line `-- +goose Up`; move it below")
    transaction = all(said != "no transaction" for said, _ in named)
    up = text.between(ups[0].end, downs[0].start if downs else None, transaction=transaction)
    return up, text.between(downs[0].end, None, transaction=transaction) if downs else None
