"""Directories of throw-away servers: one that is used stays, and what a killed process left goes, whenever it was killed."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keelson.local import throwaway
from keelson.local.throwaway import OLDER_LOCK, PREFIX


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="kt-") as name:
        yield Path(name)


def test_what_was_killed_before_it_held_anything_or_half_removed_goes_with_the_next(base: Path) -> None:
    for name in ("bare", "half/pgdata/base"):
        (base / f"{PREFIX}{name}").mkdir(parents=True)
    with throwaway.running(base) as server:
        assert list(base.iterdir()) == [server.sockets.parent]
    assert list(base.iterdir()) == []


def test_what_another_process_uses_stays(base: Path) -> None:
    older = base / f"{PREFIX}older"
    older.mkdir()
    with (older / OLDER_LOCK).open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with throwaway.running(base) as first, throwaway.running(base), first.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert older.exists()
