"""golang-migrate: `NNN_name.up.sql` with `NNN_name.down.sql`, each sent to the server as one piece."""

from __future__ import annotations

import re
from dataclasses import replace

from keelson.migrations.files import MigrationFile
from keelson.migrations.formats.directory import (
    Directory,
    refuse_twins,
    with_rising_versions,
    without_transaction_where_alone,
    words,
)
from keelson.migrations.parts import Part

NAME = "golang-migrate"
EXAMPLE = "000007_add_users.up.sql"
_NAME = re.compile(r"(?P<number>[0-9]+)_(?P<words>.*)\.(?P<way>up|down)\.sql")
# What morph, which reads the same files, has for CREATE INDEX CONCURRENTLY.
_MORPH = re.compile(rb"\s*--[ \t]*morph:nontransactional\b", re.IGNORECASE)


def detect(directory: Directory) -> bool:
    """Say whether a file is golang-migrate's."""
    return any(name.endswith(".up.sql") for name in directory.names)


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the migrations in the order of their numbers; raises MigrationError as reading a directory does."""
    ways: dict[str, dict[int, str]] = {"up": {}, "down": {}}
    for name in directory.migrations:
        match = _NAME.fullmatch(name)
        if name.endswith(".go"):
            directory.refuse(name, "is a migration in Go, which cannot be run here; write it as SQL")
        if match is None or (directory.path / name).is_dir():
            directory.refuse(name, f"is no migration's name of {NAME}; name it like {EXAMPLE}, or move it elsewhere")
        found, number = ways[match["way"]], int(match["number"])
        if number in found:
            directory.refuse(found[number], f"and {name} have the same version; give one of them another")
        found[number] = name
    for number, name in ways["down"].items():
        if number not in ways["up"]:
            directory.refuse(
                name, "goes back from a version without an `.up.sql`; restore that file or delete this one"
            )
    files = [_read(directory, number, name, ways["down"].get(number)) for number, name in sorted(ways["up"].items())]
    refuse_twins(directory, files, lambda file: file.version)
    return with_rising_versions(files)


def _read(directory: Directory, number: int, name: str, down: str | None) -> MigrationFile:
    match = _NAME.fullmatch(name)
    undo = _part(directory, down) if down else None
    return MigrationFile.of(name, number, words(match["words"] if match else ""), _part(directory, name), undo)


def _part(directory: Directory, name: str) -> Part:
    part = directory.part(name)
    buffer, start, end = part.open()
    if _MORPH.match(buffer, start, end):
        return replace(part, transaction=False)
    return without_transaction_where_alone(part)
