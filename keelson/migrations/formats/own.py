"""Keelson's own: `NNN_description.sql` with `NNN_description.down.sql`."""

from __future__ import annotations

from keelson.migrations import files
from keelson.migrations.files import MigrationFile
from keelson.migrations.formats.directory import Directory

NAME = "keelson"
EXAMPLE = "007_add_users.sql"


def detect(directory: Directory) -> bool:
    """Say whether a file can only be Keelson's: plain numbered files may be others' too."""
    undos = (name for name in directory.names if name.endswith(files.UNDO_SUFFIX))
    return not {name.removesuffix(files.UNDO_SUFFIX) + ".sql" for name in undos}.isdisjoint(directory.names)


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the migrations; raises MigrationError as reading a directory does."""
    return files.read_directory(directory.path, directory.root)
