"""Looking at all of a stack at once: one connection for each server and one for each database, none waited for too long."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import psycopg

from keelson import migrations
from keelson.agent import figures
from keelson.agent.figures import DatabaseFigures, RedisFigures
from keelson.backups.physical.state import ArchiveState
from keelson.endpoint import Reference, resolve
from keelson.errors import KeelsonError, UnreachableError
from keelson.redis.wire import RefusedError
from keelson.settings import point_in_time
from keelson.settings.stack import Stack
from keelson.status import archives, backups
from keelson.status.model import (
    ArchiveStatus,
    CertificateStatus,
    DatabaseStatus,
    PartStatus,
    RedisStatus,
    StackStatus,
    State,
)
from keelson.target import Part, target

DEADLINE = 2.8  # seconds for all of it
FARTHER = {"kubernetes": 8.0}  # where each connection is forwarded by an API
LONGEST = 4.0  # times as long, at most, where more processes want this machine's processors than it has
AT_ONCE = 16  # connections to databases: a stack may have more services than its servers take clients
FAULTS = (KeelsonError, psycopg.Error, RefusedError, OSError)

T = TypeVar("T")

_SLOTS = threading.BoundedSemaphore(AT_ONCE)
_UNSEEN = "the parts could not be looked at in time; `keelson restart` starts all of them anew"
_OTHERS = """
    SELECT count(*) FROM pg_catalog.pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'keelson status'
"""


def look(stack: Stack) -> StackStatus:
    """Return how `stack` is. A part that is frozen costs the deadline, and is named."""
    asked = _Questions(stack)
    parts = tuple(_parts(stack, asked))
    silent = {part.name for part in parts if not (part.well or part.answers) and part.state != "unknown"}
    kept = backups.Backups(stack)
    return StackStatus(
        stack=stack.key,
        environment=stack.settings.environment,
        target=stack.settings.target,
        at=datetime.now(UTC),
        parts=parts,
        databases=tuple(_database(stack, name, asked, silent, kept) for name in stack.databases),
        redis=tuple(_redis(name, asked, silent, kept) for name in stack.settings.redis),
        certificates=tuple(_certificates(stack)),
        archives=tuple(_archive(name, asked, silent) for name in asked.archives),
        backups=kept.directory,
        further_faults=kept.faults,
    )


@dataclass(frozen=True)
class _Ledger:
    connections: int
    version: int
    pending: tuple[str, ...]


class _Questions:
    """All questions, asked at once, each in a thread of its own that dies with the process."""

    def __init__(self, stack: Stack) -> None:
        self._until = time.monotonic() + deadline(stack.settings.target)
        place, limit = target(stack.settings.place), stack.settings.point_in_time.waiting_bytes
        self.parts = _asked(lambda: place.parts(stack.key))
        self.servers = {
            name: _asked(lambda name=name: _figures(stack, name))  # type: ignore[misc]
            for name in stack.settings.servers
        }
        self.archives = {
            name: _asked(lambda name=name: archives.of_stack(stack, _reference(stack, name), limit))  # type: ignore[misc]
            for name in stack.settings.servers
            if point_in_time.is_archived(stack.settings, name)
        }
        self.redis = {
            name: _asked(lambda name=name: figures.of_redis(_reference(stack, name)))  # type: ignore[misc]
            for name in stack.settings.redis
        }
        self.ledgers = {
            name: _asked(lambda name=name: _ledger(stack, name))  # type: ignore[misc]
            for name in stack.databases
        }

    def answer(self, future: Future[T]) -> T:
        """Return an answer; raises what the question raised, or TimeoutError after the deadline."""
        return future.result(max(0.0, self._until - time.monotonic()))


def deadline(kind: str) -> float:
    """Return for how many seconds answers are waited for: what is only slow on a busy machine is not called silent."""
    wanting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return FARTHER.get(kind, DEADLINE) * min(max(wanting, 1.0), LONGEST)


def _asked(question: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def ask() -> None:
        try:
            future.set_result(question())
        except BaseException as fault:  # noqa: BLE001 - who takes the answer gets it
            future.set_exception(fault)

    threading.Thread(target=ask, daemon=True).start()
    return future


def _reference(stack: Stack, server: str, database: str = "postgres") -> Reference:
    return Reference(stack=stack.key, target=stack.settings.place, server=server, database=database)


def _figures(stack: Stack, server: str) -> Mapping[str, DatabaseFigures]:
    names = [name for name, database in stack.databases.items() if database.server == server]
    return {found.datname: found for found in figures.of_server(_reference(stack, server), names)}


def _ledger(stack: Stack, name: str) -> _Ledger:
    files = migrations.location_of(stack, name).read(stack.root)
    server = stack.databases[name].server
    with _SLOTS, resolve(_reference(stack, server, name)).connect("keelson status", patience=0) as connection:
        entries = migrations.read_entries(connection)
        row = connection.execute(_OTHERS).fetchone()
    ours = {file.name for file in files}
    applied = {entry.file: entry.version for entry in entries if entry.file in ours}
    return _Ledger(
        row[0] if row else 0,
        max([0, *applied.values()]),
        tuple(file.name for file in files if file.name not in applied),
    )


def _parts(stack: Stack, asked: _Questions) -> Iterator[PartStatus]:
    expected = stack.settings.parts
    try:
        found = {part.name: part for part in asked.answer(asked.parts)}
    except TimeoutError:
        for name, kind in expected.items():
            yield PartStatus(name, kind, "unknown", detail=_UNSEEN)
        return
    except FAULTS as fault:
        for name, kind in expected.items():
            yield PartStatus(name, kind, "unknown", detail=str(fault))
        return
    for name, kind in expected.items():
        yield _part(found[name]) if name in found else PartStatus(name, kind, "missing", detail="run `keelson up`")
    yield from (_part(part) for name, part in found.items() if name not in expected)


def _part(part: Part) -> PartStatus:
    down: State = "does not answer" if part.running else "down"
    answers: State = "degraded" if part.degraded else "answers"
    state: State = answers if part.answering else "starting" if part.starting else down
    return PartStatus(part.name, part.kind, state, part.port, part.detail)


def _database(stack: Stack, name: str, asked: _Questions, silent: set[str], kept: backups.Backups) -> DatabaseStatus:
    server = stack.databases[name].server
    status = DatabaseStatus(name, server, backup=kept.of(name), drill=kept.drills_of(name))
    if server in silent:
        return replace(status, fault=f"{server} does not answer, and holds databases")
    try:
        ledger = asked.answer(asked.ledgers[name])
        status = replace(status, version=ledger.version, pending=ledger.pending, connections=ledger.connections)
        found = asked.answer(asked.servers[server])[name]
    except FAULTS as fault:
        return replace(status, fault=_told(name, server, fault))
    except KeyError:
        return replace(status, fault=f"{name} is not on {server}; run `keelson up`")
    return replace(status, size=found.size, cache_hit_ratio=round(found.cache_hit_ratio, 4))


def _redis(name: str, asked: _Questions, silent: set[str], kept: backups.Backups) -> RedisStatus:
    status = RedisStatus(name, backup=kept.of(name))
    if name in silent:
        return status
    try:
        found: RedisFigures = asked.answer(asked.redis[name])
    except FAULTS as fault:
        return replace(status, fault=_told(name, name, fault))
    return replace(
        status,
        memory=found.memory,
        max_memory=found.max_memory,
        keys=sum(found.keys.values()),
        evicted=found.evicted,
        clients=max(0, found.clients - 1),  # one of them is this look
        fault="" if found.saves_well else f"{name} could not save its data; see `keelson logs {name}`",
    )


def _archive(server: str, asked: _Questions, silent: set[str]) -> ArchiveStatus:
    if server in silent:
        return ArchiveStatus(server)
    try:
        found: ArchiveState = asked.answer(asked.archives[server])
    except FAULTS as fault:
        return ArchiveStatus(server, fault=_told(f"the archive of {server}", server, fault))
    told = found.waiting
    if told is None:
        return ArchiveStatus(server, found.backed_up, fault=found.fault)
    figures = told.archived, told.bytes, round(told.exposed)
    return ArchiveStatus(server, found.backed_up, *figures, found.fault, found.drilled, found.recovery_seconds)


def _told(name: str, server: str, fault: BaseException) -> str:
    if isinstance(fault, TimeoutError) or not str(fault):
        return f"{server} did not answer for {name} in time; see `keelson logs {server}`"
    sentence = str(fault).strip().splitlines()[0]
    return sentence if isinstance(fault, UnreachableError) else f"{name}: {sentence}"


def _certificates(stack: Stack) -> Iterator[CertificateStatus]:
    now = datetime.now(UTC)
    for found in target(stack.settings.place).certificates(stack.key):
        yield CertificateStatus.of(found, now)
