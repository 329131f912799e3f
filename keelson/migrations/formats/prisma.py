"""Prisma: a folder for each migration, with migration.sql; there is no way back."""

from __future__ import annotations

from keelson.migrations.files import MigrationFile
from keelson.migrations.formats import folders
from keelson.migrations.formats.directory import Directory

NAME = "prisma"
EXAMPLE = "20260131120000_add_users/migration.sql"
_FILE = "migration.sql"


def detect(directory: Directory) -> bool:
    """Say whether the directory is Prisma's."""
    return "migration_lock.toml" in directory.names or folders.has(directory, _FILE)


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the migrations; raises MigrationError as reading a directory does."""
    lock = directory.path / "migration_lock.toml"
    if lock.is_file() and "postgresql" not in lock.read_text(encoding="utf-8", errors="replace"):
        directory.refuse(lock.name, "is of another provider than postgresql; these migrations are for another database")
    return folders.read(directory, NAME, _FILE, None)
