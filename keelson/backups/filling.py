"""Fills an empty database from a dump: the rows of a large one in two streams at once.

A dump may be encrypted, or lie in a bucket, so none can seek in it, and pg_restore's own --jobs does not serve for the rows: each
stream reads all of the dump, and takes its own tables. What comes before and after the rows needs the table of contents alone, with
which a dump begins; that is held in memory. Indexes are made one after the other, each by several of the server's processes: those that
pg_restore's --jobs would start outlive a kill.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keelson.backups import programs
from keelson.backups.folder import Folder
from keelson.backups.sealing import BLOCK, Passing
from keelson.endpoint import Endpoint
from keelson.errors import BackupError, DamagedError

DUMP = "data.dump"
OBJECTS_AT_ONCE = 1000  # that pg_restore makes in one transaction, so that the locks of thousands of chunks have room
LARGE = 4 << 20  # bytes of a dump, below which further programs and connections take longer than they save
STREAMS = 2
ROWS = " TABLE DATA "  # of a table, in what pg_restore lists

Parts = tuple[Sequence[str], Sequence[str]]


class StoppedError(Exception):
    """A stream was ended because of another; what is left of it is not read."""


@dataclass(frozen=True, slots=True)
class Filling:
    """An empty database, and what restores into it."""

    client: programs.Client
    endpoint: Endpoint

    def fill(self, folder: Folder, facts: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        """Restore all of the dump; `facts` and `counts` are the manifest's.

        Extensions' own tables refer to each other when they are filled, so a dump with such rows comes in one stream, in its order.

        Raises:
            BackupError: something failed; what is half-restored is the caller's to drop.
        """
        with folder.open(DUMP) as file:
            if facts["extension_rows"] or folder.facts(DUMP).bytes < LARGE:
                self._run(source=file)
                return
            begun = _Begun(file)
            parts = _parts(self._entries(begun), facts.get("table_bytes") or counts)
            with _in_memory(bytes(begun.head)) as head:
                self._run("--section=pre-data", head.path, files=[head.descriptor])
                self._rows(folder, begun, parts)
                self._run("--section=post-data", head.path, files=[head.descriptor])

    def _entries(self, begun: _Begun) -> list[str]:
        """Return the lines of the dump's table of contents, in the order of the dump."""
        text: list[bytes] = []
        command = [*self.client("pg_restore"), "--list"]
        programs.run(command, f"reading what {self.endpoint.database} is made of", source=begun, sink=text.append)
        return [line for line in b"".join(text).decode(errors="replace").splitlines() if not line.startswith(";")]

    def _rows(self, folder: Folder, begun: _Begun, parts: Parts) -> None:
        """Fill the tables; the first stream goes on where the table of contents was read."""
        stop = threading.Event()

        def first() -> None:
            self._part(begun.again(), parts[0], stop)

        def second() -> None:
            with folder.unwatched().open(DUMP) as file:
                self._part(file, parts[1], stop)

        with ThreadPoolExecutor(STREAMS, "restore") as pool:
            try:
                streams = [pool.submit(work) for work in ((first, second) if parts[1] else (first,))]
                done, _ = wait(streams, return_when=FIRST_EXCEPTION)
                failed = next((stream for stream in done if stream.exception()), None)
            finally:
                stop.set()
        if failed:
            _raise_of(failed, streams)

    def _part(self, source: Passing, lines: Sequence[str], stop: threading.Event) -> None:
        with _in_memory("\n".join(lines).encode()) as wanted:
            use = f"--use-list={wanted.path}"
            try:
                self._run("--section=data", use, source=source, files=[wanted.descriptor], stop=stop)
            except BackupError:
                if stop.is_set():
                    raise StoppedError from None
                raise

    def _run(
        self,
        *options: str,
        source: Passing | None = None,
        files: Sequence[int] = (),
        stop: threading.Event | None = None,
    ) -> None:
        usual = [f"--dbname={self.endpoint.database}", "--no-password", "--exit-on-error", "--no-tablespaces"]
        further = ["--no-publications", "--no-subscriptions", f"--transaction-size={OBJECTS_AT_ONCE}"]
        command = [*self.client("pg_restore"), *usual, *further, *options]
        environment = programs.environment(self.endpoint.connection_parameters())
        what = f"the restore into {self.endpoint.database}"
        programs.run(command, what, environment=environment, source=source, files=files, stop=stop)


def _parts(entries: Sequence[str], weights: Mapping[str, int]) -> Parts:
    """Share the tables out so that both streams have about as much; what is no table's rows goes with the first."""
    known = {label.replace('"', "").replace(".", " ", 1): weight for label, weight in weights.items()}
    sizes = {line: known.get(line.partition(ROWS)[2].rpartition(" ")[0], 0) for line in entries if ROWS in line}
    sums, second = [0, 0], set[str]()
    for line in sorted(sizes, key=lambda line: -sizes[line]):
        lighter = sums.index(min(sums))
        sums[lighter] += sizes[line]
        if lighter:
            second.add(line)
    return [line for line in entries if line not in second], [line for line in entries if line in second]


def _raise_of(failed: Future[None], streams: Sequence[Future[None]]) -> None:
    """Raise what one stream failed with, or that the dump is damaged, where another says so."""
    faults = [stream.exception() for stream in streams]
    raise next((fault for fault in faults if isinstance(fault, DamagedError)), failed.exception()) or RuntimeError


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
