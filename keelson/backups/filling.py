"""Fills an empty database from a dump: where that lies in two files, both at once.

A dump may be encrypted, or lie in a bucket, so none can seek in it, and pg_restore's own --jobs does not serve; what those start would
outlive a kill, too. So each file has a pg_restore of its own, which fills its tables and then makes their indexes. What comes before
and after the rows needs the table of contents alone, with which a dump begins; that is held in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from keelson.backups import contents, programs
from keelson.backups.contents import Entry
from keelson.backups.dumping import DUMP, FURTHER
from keelson.backups.folder import Folder
from keelson.backups.manifest import TABLES_APART
from keelson.backups.sealing import BLOCK, Passing
from keelson.backups.threads import at_once
from keelson.endpoint import Endpoint

OBJECTS_AT_ONCE = 1000  # that pg_restore makes in one transaction, so that the locks of thousands of chunks have room


@dataclass(frozen=True, slots=True)
class Filling:
    """An empty database, and what restores into it."""

    client: programs.Client
    endpoint: Endpoint
    group: programs.Together = field(default_factory=programs.Together)

    def fill(self, folder: Folder, facts: Mapping[str, Any]) -> None:
        """Restore all of the dump; `facts` are the manifest's.

        Raises:
            BackupError: something failed; what is half-restored is the caller's to drop.
        """
        with folder.open(DUMP) as file:
            if FURTHER not in folder.names:
                self._run(source=file)
                return
            begun = _Begun(file)
            listed = self._entries(begun)
            first, second = _indexes(listed, facts)
            with _in_memory(bytes(begun.head)) as head:
                self._run("--section=pre-data", head.path, files=[head.descriptor])
                with at_once(2, "restore", self.group.end) as threads:
                    streams = [
                        threads.submit(self._rows, begun.again(), first, head),
                        threads.submit(self._further, folder, second, head),
                    ]
                    threads.settle(streams)
                made = {*first, *second}
                self._afterwards([entry for entry in listed if entry not in made], head)

    def _entries(self, begun: _Begun) -> list[Entry]:
        """Return the dump's table of contents, in its order."""
        text: list[bytes] = []
        command = [*self.client("pg_restore"), "--list", "--verbose"]
        programs.run(command, f"reading what {self.endpoint.database} is made of", source=begun, sink=text.append)
        return contents.entries(b"".join(text).decode(errors="replace"))

    def _further(self, folder: Folder, after: Sequence[Entry], head: _File) -> None:
        with folder.open(FURTHER) as file:
            self._rows(file, after, head)

    def _rows(self, source: Passing, after: Sequence[Entry], head: _File) -> None:
        """Fill the tables of one file, and make what is theirs alone."""
        self._run("--section=data", source=source)
        self._afterwards(after, head)

    def _afterwards(self, entries: Sequence[Entry], head: _File) -> None:
        if not entries:
            return
        with _in_memory("\n".join(entry.line for entry in entries).encode()) as wanted:
            use = f"--use-list={wanted.path}"
            self._run("--section=post-data", use, head.path, files=[head.descriptor, wanted.descriptor])

    def _run(self, *options: str, source: Passing | None = None, files: Sequence[int] = ()) -> None:
        usual = [f"--dbname={self.endpoint.database}", "--no-password", "--exit-on-error", "--no-tablespaces"]
        further = ["--no-publications", "--no-subscriptions", f"--transaction-size={OBJECTS_AT_ONCE}"]
        command = [*self.client("pg_restore"), *usual, *further, *options]
        environment = programs.environment(self.endpoint.connection_parameters())
        what = f"the restore into {self.endpoint.database}"
        programs.run(command, what, environment=environment, source=source, files=files, group=self.group)


def _indexes(listed: Sequence[Entry], facts: Mapping[str, Any]) -> tuple[list[Entry], list[Entry]]:
    """Return the indexes that each file's stream makes; none where extensions keep rows, as their own order is kept then."""
    if facts["extension_rows"]:
        return [], []
    further = set(facts[TABLES_APART])
    return contents.of_tables(listed, facts["table_bytes"].keys() - further), contents.of_tables(listed, further)


class _Begun:
    """A stream of which is kept what was read; `again` reads that once more, and then the rest."""

    def __init__(self, below: Passing) -> None:
        self._below, self.head = below, bytearray()

    def read(self, size: int = BLOCK) -> bytes:
        block = self._below.read(size)
        self.head += block
        return block

    def write(self, block: bytes) -> None:
        raise NotImplementedError

    def again(self) -> Passing:
        return _Again(bytes(self.head), self._below)


class _Again:
    def __init__(self, head: bytes, below: Passing) -> None:
        self._head, self._below = head, below

    def read(self, size: int = BLOCK) -> bytes:
        block, self._head = self._head, b""
        return block or self._below.read(size)

    def write(self, block: bytes) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    descriptor: int


@contextmanager
def _in_memory(content: bytes) -> Iterator[_File]:
    """Give a file that lies on no disk, for a program that gets its descriptor."""
    descriptor = os.memfd_create("keelson")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield _File(f"/dev/fd/{descriptor}", descriptor)
    finally:
        os.close(descriptor)
