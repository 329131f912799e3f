"""A store that SQLite cannot read, moved out of the way before pgAdmin sees it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path


def set_aside(file: Path) -> Path | None:
    """Move a store that SQLite cannot read out of the way, and return where it is now; None where it is sound."""
    if not file.exists() or _is_sound(file):
        return None
    name = f"{file.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for suffix in ("-wal", "-shm", "-journal", ""):
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + suffix).rename(file.with_name(name + suffix))
    return file.with_name(name)


def _is_sound(file: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False
