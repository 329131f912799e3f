"""What the files of a directory say, kept between runs: to read ten thousand files takes longer than all else of a run with nothing to do.

A file is known again by its size, both times and its number on disk, like in git's index; and like there, one that changed
shortly before it was read is read anew, as a later change might leave all of these alike. Nothing depends on what is kept:
where it is missing, damaged or of another version of this program, the files are read.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import cast

from keelson import paths
from keelson.errors import PlatformError
from keelson.migrations import parts, script
from keelson.migrations.parts import Facts, Part

FEWEST = 100  # files from which a directory is worth it
LEAST = 4 << 20  # bytes of files from which it is too
SETTLED = 2_000_000_000  # ns: the coarsest clock of a file system

_Mark = list[int]  # size, mtime and ctime in ns, inode
_Entries = dict[str, tuple[_Mark, tuple[str, str, str, bool]]]  # as JSON keeps them, in lists


@contextmanager
def kept(directory: Path) -> Iterator[Kept]:
    """Let the block ask for the facts of a directory's files, and keep them for the next time."""
    found = Kept(directory)
    yield found
    found.keep()


class Kept:
    """The facts of one directory's files."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._began = directory, time.time_ns()
        self._marks = _marks(directory)
        self._place = paths.cache() / "hashes" / _digits(os.fsencode(directory.resolve()))
        self._before = _read(self._place) if self._is_worth_it else {}
        self._now: _Entries = {}

    @property
    def _is_worth_it(self) -> bool:
        return len(self._marks) >= FEWEST or sum(mark[0] for mark in self._marks.values()) >= LEAST

    def knows(self, name: str) -> bool:
        """Say whether a file was read before."""
        return name in self._before

    def meanings(self) -> dict[str, str]:
        """Return {name: sha256} of the files that were read before and are as they were."""
        before, marks = self._before, self._marks
        return {name: known[1][1] for name, known in before.items() if known[0] == marks.get(name)}

    def facts(self, part: Part) -> Facts:
        """Return the facts of a whole file; raises MigrationError as `Part.facts` does."""
        name = part.path.name
        mark = self._marks.get(name)
        known = self._before.get(name)
        if known and known[0] == mark:
            self._now[name] = known
            return Facts(*known[1])
        facts = part.facts()
        if mark and max(mark[1], mark[2]) < self._began - SETTLED:
            self._now[name] = mark, (facts.text_sha256, facts.sha256, facts.description, facts.transaction)
        return facts

    def keep(self) -> None:
        """Write what is known now, where that is more or other than before."""
        if not self._is_worth_it or self._now == self._before:
            return
        text = json.dumps(self._now, separators=(",", ":"))
        with suppress(PlatformError):  # a home that cannot be written to has no cache
            paths.private_directory(self._place.parent)
            paths.write_private(self._place, f"{_seal(text.encode())}\n{text}")


def _marks(directory: Path) -> Mapping[str, _Mark]:
    found = {}
    with suppress(OSError), os.scandir(directory) as entries:  # who reads the files says what is wrong
        for entry in entries:
            about = entry.stat()
            found[entry.name] = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    return found


def _read(place: Path) -> _Entries:
    """Return what was kept; nothing if that is missing, damaged or of another version."""
    try:
        seal, _, text = place.read_bytes().partition(b"\n")
    except OSError:
        return {}
    return cast("_Entries", json.loads(text)) if seal == _seal(text).encode() else {}


def _seal(text: bytes) -> str:
    """Return what only a whole file of this version begins with."""
    return _digits(_version() + text)


@cache
def _version() -> bytes:
    """Return how facts are found: other sources, other facts."""
    return b"".join(Path(str(module.__file__)).read_bytes() for module in (parts, script))


def _digits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
