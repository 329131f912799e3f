"""tern: numbered files in which `---- create above / drop below ----` stands between the way up and the way down."""

from __future__ import annotations

import re
from dataclasses import replace

from keelson.migrations.files import MigrationFile
from keelson.migrations.formats import sections
from keelson.migrations.formats.directory import Directory
from keelson.migrations.parts import Part

NAME = "tern"
EXAMPLE = "007_add_users.sql"
_SEPARATOR = sections.marker(rb"--[ \t]+(?=create above / drop below[ \t]+----)")
_SPECIAL = re.compile(
    sections.LINE + rb"(?P<text>[^\n]*(?:\{\{|----[ \t]+tern:[ \t]*disable-tx[ \t]+----)[^\n]*)(?:\n|\Z)", re.MULTILINE
)


def detect(directory: Directory) -> bool:
    """Say whether the numbered files are tern's."""
    return sections.has_marker(directory, _SEPARATOR)


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the migrations; raises MigrationError as reading a directory does, and for what is not supported."""
    return sections.read_numbered(directory, NAME, EXAMPLE, _cut)


def _cut(file: Part) -> tuple[Part, Part | None]:
    special = sections.Text(file, _SPECIAL)
    for line in special.markers:
        if "{{" in line.text:
            special.refuse(line.start, "tern's templates are not supported: the SQL must not depend on who runs it")
    text = sections.Text(replace(file, transaction=not special.markers), _SEPARATOR)
    if not text.markers:
        return replace(file, transaction=not special.markers), None
    first, *more = text.markers
    if more:
        text.refuse(
            more[0].start, "stands there a second time: one line parts the way up from the way down; take it out"
        )
    transaction = not special.markers
    return text.between(None, first.start, transaction=transaction), text.between(
        first.end, None, transaction=transaction
    )
