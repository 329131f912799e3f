"""Brings many databases up at once: with a bound on how many, each by itself, so that what fails in one stops no other.

Threads are enough: nearly all of the time is the server's, and a database takes this process some milliseconds.
"""

from __future__ import annotations

import fnmatch
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import psycopg
from psycopg import conninfo as libpq

from keelson.errors import KeelsonError, SettingsError, UnreachableError
from keelson.postgres.connection import connect

JOBS = 8  # databases at once; more did not pay with a server of two cores, nor with one of many that is far away
CONNECTING = 10.0  # s for a server that starts
GRACE = 5.0  # s for what runs to be cancelled
_POLL = 0.1  # s

T = TypeVar("T")


class StoppedError(KeelsonError):
    """Work on a database was ended from outside."""


@dataclass(frozen=True)
class Target:
    """One database of a fleet.

    Attributes:
        name: How it is called in messages, without any login.
        conninfo: How to connect, with the password where it needs one.
    """

    name: str
    conninfo: str = field(repr=False)

    @property
    def server(self) -> tuple[str, str]:
        """What answers for it."""
        parts = libpq.conninfo_to_dict(self.conninfo)
        return str(parts.get("host") or parts.get("hostaddr") or ""), str(parts.get("port") or "")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of one database: a value, or the sentence that says why not."""

    target: Target
    seconds: float
    value: T | None = None
    fault: str = ""
    stopped: bool = False


def targets_of(urls: Iterable[str], source: str) -> list[Target]:
    """Return the databases whose URLs stand one on a line; `source` names the file in messages.

    Raises:
        SettingsError: a line is no connection string, or there is none.
    """
    found: dict[str, Target] = {}
    for number, line in enumerate(urls, 1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        try:
            parts = libpq.conninfo_to_dict(url)
        except psycopg.Error:  # its text may repeat parts of the password
            msg = f"{source}:{number}: this is no connection string; write it as postgresql://user@host:port/database"
            raise SettingsError(msg) from None
        name = parts.get("dbname") or parts.get("user") or "(the system user)"
        found[url] = Target(f"{name} on {parts.get('host') or 'localhost'}:{parts.get('port') or 5432}", url)
    if not found:
        msg = f"{source} names no database; write one URL on a line"
        raise SettingsError(msg)
    return list(found.values())


def targets_on(url: str, pattern: str) -> list[Target]:
    """Return the databases of a server whose names match a shell's pattern, templates left out.

    Raises:
        SettingsError: none matches.
        UnreachableError: the server cannot be asked.
    """
    query = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
    with connect(url, application_name="keelson migrate") as connection:
        names = [str(name) for (name,) in connection.execute(query).fetchall() if fnmatch.fnmatchcase(name, pattern)]
        where = f"{connection.info.host}:{connection.info.port}"
    if not names:
        msg = f"no database of {where} matches {pattern!r}; quote the pattern, so that the shell leaves it alone"
        raise SettingsError(msg)
    return [Target(name, libpq.make_conninfo(url, dbname=name)) for name in names]


def each(
    targets: Sequence[Target],
    work: Callable[[psycopg.Connection, Callable[[str], None]], T],
    *,
    jobs: int = JOBS,
    on_done: Callable[[Outcome[T]], None] | None = None,
) -> list[Outcome[T]]:
    """Do the same work on all databases and return what came of each, in the order of the targets.

    Args:
        targets: The databases.
        work: Gets a connection in autocommit, and a function to call where it could stop.
        jobs: How many at once.
        on_done: Told of each as soon as it is done, by one thread at a time.

    Raises:
        KeyboardInterrupt: as it came; what ran is cancelled, and has left nothing half done.
    """
    fleet = _Fleet(targets, work, on_done)
    threads = [threading.Thread(target=fleet.run, daemon=True) for _ in range(min(jobs, len(targets)))]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(_POLL)
    except KeyboardInterrupt:
        fleet.stop(threads)
        raise
    return fleet.outcomes()


class _Fleet(Generic[T]):
    """The work that is left, that runs and that is done."""

    def __init__(
        self,
        targets: Sequence[Target],
        work: Callable[[psycopg.Connection, Callable[[str], None]], T],
        on_done: Callable[[Outcome[T]], None] | None,
    ) -> None:
        self._targets, self._work, self._on_done = targets, work, on_done
        self._left: queue.SimpleQueue[Target] = queue.SimpleQueue()
        for target in targets:
            self._left.put(target)
        self._done: dict[Target, Outcome[T]] = {}
        self._running: set[psycopg.Connection] = set()
        self._silent: set[tuple[str, str]] = set()
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def outcomes(self) -> list[Outcome[T]]:
        """Return what came of each, in the order of the targets."""
        return [self._done[target] for target in self._targets]

    def run(self) -> None:
        """Take one after the other until none is left."""
        while not self._stopped.is_set():
            try:
                target = self._left.get_nowait()
            except queue.Empty:
                return
            outcome = self._do(target)
            with self._lock:
                self._done[target] = outcome
                if self._on_done and not self._stopped.is_set():
                    self._on_done(outcome)

    def stop(self, threads: Sequence[threading.Thread]) -> None:
        """Begin nothing more, and cancel what runs until it has ended."""
        self._stopped.set()
        end = time.monotonic() + GRACE
        while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
            for connection in tuple(self._running):
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=GRACE)
            threads[0].join(_POLL)

    def _do(self, target: Target) -> Outcome[T]:
        began = time.monotonic()
        try:
            with self._connected(target) as connection:
                value = self._work(connection, self._go_on)
            return Outcome(target, time.monotonic() - began, value)
        except (KeelsonError, psycopg.Error) as fault:
            stopped = self._stopped.is_set()
            sentence = str(fault) if isinstance(fault, KeelsonError) else _lost(target)
            return Outcome(target, time.monotonic() - began, fault=sentence, stopped=stopped)

    @contextmanager
    def _connected(self, target: Target) -> Iterator[psycopg.Connection]:
        """Open a connection; for a server that did not answer in time, each further database waits no more."""
        began, deadline = time.monotonic(), 0.0 if target.server in self._silent else CONNECTING
        try:
            connection = connect(target.conninfo, application_name="keelson migrate", deadline=deadline)
        except UnreachableError:
            if time.monotonic() - began > CONNECTING / 2:
                self._silent.add(target.server)
            raise
        with connection:
            self._running.add(connection)
            try:
                yield connection
            finally:
                self._running.discard(connection)

    def _go_on(self, _line: str = "") -> None:
        """Raise StoppedError where the work shall end."""
        if self._stopped.is_set():
            msg = "the work was ended; run the command again to finish"
            raise StoppedError(msg)


def _lost(target: Target) -> str:
    return f"the connection to {target.name} was lost; run the command again, it goes on where the ledger ends"
