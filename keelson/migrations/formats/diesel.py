"""Diesel: a folder for each migration, with up.sql and down.sql."""

from __future__ import annotations

from keelson.migrations.files import MigrationFile
from keelson.migrations.formats import folders
from keelson.migrations.formats.directory import Directory

NAME = "diesel"
EXAMPLE = "2026-01-31-120000_add_users/up.sql"
_UP, _DOWN = "up.sql", "down.sql"


def detect(directory: Directory) -> bool:
    """Say whether the directory is Diesel's."""
    return folders.has(directory, _UP)


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the migrations; raises MigrationError as reading a directory does."""
    return folders.read(directory, NAME, _UP, _DOWN)
