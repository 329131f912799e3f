"""Migrations and seeds of one database: files, plan, ledger, and the runner that applies them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelson.lazily import exports

if TYPE_CHECKING:
    from keelson.migrations.applying import apply, bring_up, status
    from keelson.migrations.current import digest_of, is_current
    from keelson.migrations.files import MigrationFile, read_file, refuse_changed
    from keelson.migrations.formats import OWN_FORMAT, Location, gaps, location_in, location_of, read_directory
    from keelson.migrations.ledger import Entry, read_entries, read_ledger
    from keelson.migrations.plan import describe
    from keelson.migrations.session import cancel_on
    from keelson.migrations.standing import FileStatus, is_pending

__all__ = [
    "OWN_FORMAT",
    "Entry",
    "FileStatus",
    "Location",
    "MigrationFile",
    "apply",
    "bring_up",
    "cancel_on",
    "describe",
    "digest_of",
    "gaps",
    "is_current",
    "is_pending",
    "location_in",
    "location_of",
    "read_directory",
    "read_entries",
    "read_file",
    "read_ledger",
    "refuse_changed",
    "status",
]

__getattr__ = exports(
    __name__,
    {
        "applying": ("apply", "bring_up", "status"),
        "current": ("digest_of", "is_current"),
        "files": ("MigrationFile", "read_file", "refuse_changed"),
        "formats": ("OWN_FORMAT", "Location", "gaps", "location_in", "location_of", "read_directory"),
        "ledger": ("Entry", "read_entries", "read_ledger"),
        "plan": ("describe",),
        "session": ("cancel_on",),
        "standing": ("FileStatus", "is_pending"),
    },
)
