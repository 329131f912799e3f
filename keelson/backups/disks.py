"""Whether there is room, whether others can read what is private, and whether one disk holds data and backups."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keelson import paths
from keelson.backups.store import Store


@dataclass(frozen=True)
class Disks:
    """What was found.

    Attributes:
        data: the directory of the data.
        free: bytes that are free there.
        private: the directory that nobody else should read.
        readable: what others can read in it all the same; empty where there is nothing.
        backups: the directory of the backups.
        shared: whether they lie on a disk of the data.
    """

    data: str
    free: int
    private: str
    readable: str
    backups: str
    shared: bool


def look(key: str, backups: Path | None, data: Iterable[Path] = ()) -> Disks:
    """Look at the directories of a stack.

    Args:
        key: the stack's key.
        backups: the settings' backup.directory.
        data: directories of the data; where none is named, the usual one.
    """
    folder, private, store = _existing(paths.data()), paths.state() / "stacks" / key, Store(key, backups)
    places = [_existing(place) for place in data] or [_existing(paths.state())]
    return Disks(
        data=str(folder),
        free=shutil.disk_usage(folder).free,
        private=str(private),
        readable=str(_readable(private) or ""),
        backups=store.where,
        shared=store.terms.bucket is None
        and _existing(store.directory).stat().st_dev in {place.stat().st_dev for place in places},
    )


def _readable(folder: Path) -> Path | None:
    every = (folder, *(folder.rglob("*") if folder.is_dir() else ()))
    return next(
        (
            path
            for path in every
            if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077 and not path.is_symlink()
        ),
        None,
    )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
