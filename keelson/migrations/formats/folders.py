"""Formats with a folder for each migration: Prisma's `migration.sql`, and Diesel's `up.sql` with `down.sql`."""

from __future__ import annotations

import re

from keelson.migrations.files import MigrationFile
from keelson.migrations.formats.directory import (
    Directory,
    with_rising_versions,
    without_transaction_where_alone,
    words,
)

_NUMBER = re.compile(r"(?P<number>[0-9]+(?:-[0-9]+)*)(?P<words>.*)")
_NO_TRANSACTION = re.compile(r"^\s*run_in_transaction\s*=\s*false\s*$", re.MULTILINE)


def has(directory: Directory, file: str) -> bool:
    """Say whether a folder of the directory holds `file`."""
    return any((directory.path / name / file).is_file() for name in directory.names if not name.endswith(".sql"))


def read(directory: Directory, tool: str, up: str, down: str | None) -> tuple[MigrationFile, ...]:
    """Return the migrations in the order of their folders' names; raises MigrationError as reading a directory does."""
    files = []
    for name in sorted(directory.migrations):
        if not (directory.path / name).is_dir():
            directory.refuse(
                name, f"is no folder of a migration of {tool}; make a folder that holds {up}, or move it elsewhere"
            )
        if not (directory.path / name / up).is_file():
            directory.refuse(name, f"has no {up}; restore that file, or delete the folder")
        files.append(_read(directory, name, up, down))
    return with_rising_versions(files)


def _read(directory: Directory, name: str, up: str, down: str | None) -> MigrationFile:
    match = _NUMBER.fullmatch(name)
    number = int(match["number"].replace("-", "")) if match else None
    transaction = not _says_no_transaction(directory, name)
    part = directory.part(f"{name}/{up}", transaction=transaction)
    undo = directory.part(f"{name}/{down}", transaction=transaction) if down else None
    return MigrationFile.of(
        name,
        number,
        words(match["words"] if match else name),
        without_transaction_where_alone(part),
        without_transaction_where_alone(undo) if undo and undo.path.is_file() else None,
    )


def _says_no_transaction(directory: Directory, name: str) -> bool:
    settings = directory.path / name / "metadata.toml"  # Diesel's
    return settings.is_file() and bool(_NO_TRANSACTION.search(settings.read_text(encoding="utf-8")))
