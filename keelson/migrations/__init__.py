"""Migrations and seeds of one database: files, plan, ledger, and the runner that applies them."""

from keelson.migrations.apply import FileStatus, apply, status
from keelson.migrations.files import MigrationFile, read_directory, read_file, refuse_changed
from keelson.migrations.ledger import Entry, read_entries, read_ledger
from keelson.migrations.plan import describe
from keelson.migrations.session import cancel_on

__all__ = [
    "Entry",
    "FileStatus",
    "MigrationFile",
    "apply",
    "cancel_on",
    "describe",
    "read_directory",
    "read_entries",
    "read_file",
    "read_ledger",
    "refuse_changed",
    "status",
]
