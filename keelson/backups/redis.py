"""Backups of one Redis: `redis.rdb`, a snapshot of all its databases at one moment.

It is read back by a Redis that is thrown away, and restored from there key by key, so that nothing that stands in the
destination is overwritten.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson.backups import programs
from keelson.backups.engines import Contents, Counts, Destination, refuse_difference
from keelson.backups.folder import Folder
from keelson.endpoint import Reference
from keelson.errors import BackupError
from keelson.redis.connection import connect
from keelson.redis.endpoint import options
from keelson.redis.throwaway import Connect, counts, loaded
from keelson.target import target

if TYPE_CHECKING:
    import redis

SNAPSHOT = "redis.rdb"
MARK = (
    b"keelson:restore"  # stands in each database for as long as a restore is not complete; its value names the backup
)
BATCH = 100  # keys that travel at once
SECONDS = 60.0  # for one batch


class RedisEngine:
    """See `keelson.backups.engines.Engine` for what each method is for."""

    def expect(self, reference: Reference) -> int:
        """Return the memory of the data, of which a snapshot takes less."""
        with _sentences(reference), connect(reference) as client:
            return int(client.info("memory")["used_memory_dataset"])

    def back_up(self, reference: Reference, folder: Folder) -> tuple[Contents, Counts]:
        """Write a snapshot, and load it once more from what is kept."""
        contents = self.write(reference, folder)
        return contents, self.read_back(folder, contents)

    def write(self, reference: Reference, folder: Folder) -> Contents:
        """Let Redis send a snapshot as to a replica; count what is in it, since nobody else knows what that moment held."""
        place = target(reference.target)
        address, login = place.locate(reference.stack, reference.server), "backup"
        with _sentences(reference), connect(reference) as client:
            version = client.info("server")["redis_version"]
        with folder.create(SNAPSHOT) as file:
            programs.run(
                [*place.client("redis-cli"), *options(address, login), "--rdb", "-"],
                f"the snapshot of {reference.server}",
                environment={"REDISCLI_AUTH": place.password(reference.stack, reference.server, login)},
                sink=file.write,
            )
        with loaded(partial(_copy_out, folder)) as snapshot:
            return Contents(counts(snapshot), {"redis_version": version})

    def read_back(self, folder: Folder, contents: Contents) -> Counts:  # noqa: ARG002 - all is in the snapshot
        """Load the whole snapshot, and count."""
        with loaded(partial(_copy_out, folder)) as snapshot:
            return counts(snapshot)

    def restore(self, folder: Folder, contents: Contents, destination: Destination) -> Counts:
        """Copy every key into databases that are empty, or hold what a killed restore of the same backup left.

        Keys whose time is over since the backup count as restored.
        """
        with loaded(partial(_copy_out, folder)) as snapshot:
            refuse_difference(contents.counts, counts(snapshot), f"the backup {folder.path}")
            with _sentences(destination.reference):
                _Restore(snapshot, destination.reference, folder.facts(SNAPSHOT).sha256.encode()).run()
        return contents.counts

    def discard(self, destination: Destination) -> None:
        """Nothing is left to discard: `restore` itself compares, and takes back what it began."""


@dataclass(frozen=True)
class _Pair:
    """One numbered database in the snapshot and in the destination."""

    number: int
    here: redis.Redis
    there: redis.Redis


class _Restore:
    """One restore: from a throw-away Redis into one that runs; `mark` names the backup."""

    def __init__(self, snapshot: Connect, reference: Reference, mark: bytes) -> None:
        self._snapshot, self._reference, self._mark = snapshot, reference, mark
        self._begun: list[_Pair] = []
        self._others: set[tuple[int, bytes]] = set()  # keys that somebody else wrote meanwhile

    def run(self) -> None:
        with ExitStack() as opened:
            pairs = [opened.enter_context(self._pair(number)) for number in (0, *self._numbers())]
            pairs, functions = pairs[1:], pairs[0]
            for pair in pairs:
                self._refuse_keys(pair)
            libraries = self._libraries_to_restore(functions)
            try:
                for pair in pairs:
                    self._begun.append(pair)
                    pair.there.set(MARK, self._mark)
                    self._copy(pair)
                if libraries:
                    functions.there.function_restore(libraries)  # type: ignore[arg-type]  # redis-py names text for bytes
            except BaseException:
                self._take_back()
                raise
            for pair in pairs:
                pair.there.delete(MARK)

    @contextmanager
    def _pair(self, number: int) -> Iterator[_Pair]:
        with (
            self._snapshot(number) as here,
            connect(self._reference, number, text=False, seconds=SECONDS) as there,
        ):
            yield _Pair(number, here, there)

    def _numbers(self) -> list[int]:
        with self._snapshot(0) as client:
            return sorted(int(name.removeprefix("db")) for name in client.info("keyspace"))

    def _refuse_keys(self, pair: _Pair) -> None:
        """Refuse a database that holds keys, unless a restore of this backup was killed there."""
        size, held = pair.there.dbsize(), pair.there.get(MARK)
        if not size or held == self._mark:
            return
        place = f"database {pair.number} of {self._reference.server}"
        if held:
            msg = f"{place} holds half of another backup; restore that one again, or empty the database with FLUSHDB"
        else:
            msg = f"{place} holds {size} keys, and a restore overwrites nothing; move them away, or restore into another Redis"
        raise BackupError(msg)

    def _libraries_to_restore(self, pair: _Pair) -> bytes | None:
        if not pair.here.function_list():
            return None
        wanted, found = pair.here.function_dump(), pair.there.function_dump()
        if wanted == found:
            return None
        if pair.there.function_list():
            msg = f"{self._reference.server} has function libraries of its own; delete them, or restore into another Redis"
            raise BackupError(msg)
        return bytes(wanted)

    def _copy(self, pair: _Pair) -> None:
        lasting, evicted = 0, self._evicted(pair)
        for keys in _batches(pair.here.scan_iter(count=BATCH)):
            entries = _read(pair.here, keys)
            with pair.there.pipeline(transaction=False) as pipe:
                for key, payload, expires in entries:
                    pipe.restore(key, max(expires, 0), payload, absttl=expires > 0)
                replies = pipe.execute(raise_on_error=False)
            for (key, payload, expires), reply in zip(entries, replies, strict=True):
                self._refuse_fault(pair, key, payload, reply)
                lasting += expires <= 0
        self._refuse_eviction(pair, evicted)
        if (size := pair.there.dbsize() - 1) < lasting:
            msg = f"database {pair.number} of {self._reference.server} has {size} keys in place of {lasting}; look at its log"
            raise BackupError(msg)

    def _refuse_fault(self, pair: _Pair, key: bytes, payload: bytes, reply: object) -> None:
        if not isinstance(reply, Exception):
            return
        if "BUSYKEY" not in str(reply):
            raise reply
        if pair.there.dump(key) != payload:
            self._others.add((pair.number, key))
            msg = (
                f"somebody writes to database {pair.number} of {self._reference.server} while it is restored; "
                "stop the applications, empty it, and restore again"
            )
            raise BackupError(msg)

    def _take_back(self) -> None:
        """Remove what was restored, and no key that somebody else wrote."""
        import redis  # noqa: PLC0415 - as below

        with suppress(redis.RedisError):  # the marks stay then, and the next restore goes on
            for pair in self._begun:
                for keys in _batches(pair.here.scan_iter(count=BATCH)):
                    if ours := [key for key in keys if (pair.number, key) not in self._others]:
                        pair.there.unlink(*ours)
                pair.there.delete(MARK)

    def _refuse_eviction(self, pair: _Pair, before: int) -> None:
        if self._evicted(pair) != before:
            msg = (
                f"{self._reference.server} evicted keys while they were restored; raise its maxmemory and restore again"
            )
            raise BackupError(msg)

    @staticmethod
    def _evicted(pair: _Pair) -> int:
        return int(pair.there.info("stats")["evicted_keys"])


def _read(here: redis.Redis, keys: list[bytes]) -> list[tuple[bytes, bytes, int]]:
    """Return key, value and moment of expiry in milliseconds (-1: never) of those whose time is not over."""
    with here.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.dump(key)
            pipe.pexpiretime(key)  # type: ignore[arg-type]  # likewise
        replies: list[Any] = pipe.execute()
    entries = zip(keys, replies[::2], replies[1::2], strict=True)
    return [(key, payload, expires) for key, payload, expires in entries if payload is not None]


def _batches(keys: Iterator[bytes]) -> Iterator[list[bytes]]:
    while batch := list(itertools.islice(keys, BATCH)):
        yield batch


def _copy_out(folder: Folder, path: Path) -> None:
    with folder.open(SNAPSHOT) as stream, path.open("wb") as file:
        while block := stream.read():
            file.write(block)


@contextmanager
def _sentences(reference: Reference) -> Iterator[None]:
    """Say what a Redis refuses in one sentence."""
    import redis  # noqa: PLC0415 - slow, and most commands do without

    try:
        yield
    except redis.RedisError as fault:
        msg = f"Redis {reference.server} refused: {fault}; see `keelson logs {reference.server}` and try again"
        raise BackupError(msg) from None
