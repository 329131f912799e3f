"""Writes the dump of a database, in two streams at once where that pays, and reads each of them back while it is written.

| file | holds |
|---|---|
| data.dump | all but the rows of the tables that are in the other one |
| data-2.dump | the rows of about half of a large database, as far as whole tables can be shared out; no other database has it |

Both are pg_dump's custom format, of one snapshot. No row is in both or in neither: the counts of what is read back show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from keelson.backups import programs
from keelson.backups.folder import Folder
from keelson.backups.sealing import Passing
from keelson.backups.stream import RowCounter
from keelson.backups.threads import Threads, at_once
from keelson.endpoint import Endpoint

DUMP, FURTHER = "data.dump", "data-2.dump"
COMPRESSION = "zstd:1"  # half the work of pg_dump's own 3, and no larger in what was measured; see bench/backups.py
LOCK_WAIT = "60s"  # for a table that somebody is changing
WORTH = 32 << 20  # bytes of tables, below which a second pg_dump takes longer than it saves
MOST = 500  # tables that a command line names

Opened = Callable[[], AbstractContextManager[Passing]]


def apart(sizes: Mapping[str, int]) -> list[str]:
    """Return the tables whose rows go into the further file, the lighter half of those of `sizes`; none where it does not pay."""
    sums: list[int] = [0, 0]
    halves: tuple[list[str], list[str]] = ([], [])
    for label in sorted(sizes, key=lambda label: (-sizes[label], label))[: 2 * MOST]:
        lighter = min((0, 1), key=lambda half: (sums[half], len(halves[half])))
        sums[lighter] += sizes[label]
        halves[lighter].append(label)
    return sorted(halves[1][:MOST]) if sums[1] >= WORTH else []


@dataclass(frozen=True, slots=True)
class Dumping:
    """One snapshot of a database, and what dumps it."""

    client: programs.Client
    endpoint: Endpoint
    snapshot: str
    group: programs.Together = field(default_factory=programs.Together)

    def write(self, folder: Folder, tables: Sequence[str], threads: Threads) -> list[Future[Counter[str]]]:
        """Begin to dump and to read back; each of what is returned ends with rows by table, or what went wrong."""
        parts = {DUMP: [f"--exclude-table-data={label}" for label in tables]}
        if tables:
            parts[FURTHER] = ["--data-only", "--strict-names", *(f"--table={label}" for label in tables)]
        begun: list[Future[Counter[str]]] = []
        for name, options in parts.items():
            file = folder.growing(name)
            begun.append(threads.submit(self._dump, options, file.written))
            begun.append(threads.submit(counted, self.client, file.read_back, str(folder.path / name), self.group))
        return begun

    def _dump(self, options: Sequence[str], opened: Opened) -> Counter[str]:
        """Write what pg_dump writes.

        It writes to a pipe: to a file of which it holds only a descriptor it appends a second table of contents, and a
        cut there would go unnoticed.
        """
        usual = ["--format=custom", f"--compress={COMPRESSION}", "--no-password", f"--lock-wait-timeout={LOCK_WAIT}"]
        command = [*self.client("pg_dump"), *usual, f"--snapshot={self.snapshot}", *options]
        environment = programs.environment(self.endpoint.connection_parameters())
        with opened() as file:
            what = f"the dump of {self.endpoint.database}"
            programs.run(command, what, environment=environment, sink=file.write, group=self.group)
        return Counter()


def parts(folder: Folder) -> list[str]:
    """Return the names of the dump's files."""
    return [name for name in (DUMP, FURTHER) if name in folder.names or name == DUMP]


def read_all(client: programs.Client, folder: Folder) -> Counter[str]:
    """Let pg_restore read all of a dump, and return the rows by table in what it writes."""
    group = programs.Together()
    with at_once(len(names := parts(folder)), "read", group.end) as threads:
        streams = [
            threads.submit(counted, client, partial(folder.open, name), str(folder.path / name), group)
            for name in names
        ]
        threads.settle(streams)
    return total(streams)


def counted(client: programs.Client, opened: Opened, path: str, group: programs.Together) -> Counter[str]:
    """Let pg_restore read one file, and count the rows in what it writes."""
    counter = RowCounter()
    # Without --data-only a function's body could look like a table's rows; all of the archive is read either way.
    command = [*client("pg_restore"), "--data-only", "--file=-"]
    with opened() as file:
        programs.run(command, f"reading {path} back", source=file, sink=counter.take, group=group)
    return counter.counts


def total(streams: Sequence[Future[Counter[str]]]) -> Counter[str]:
    """Return what streams have counted; a table without rows counts as well."""
    found: Counter[str] = Counter()
    for stream in streams:
        found.update(stream.result())
    return found
