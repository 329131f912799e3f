"""The figures of a PostgreSQL server and of a Redis, each by one connection, and of backups."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg.rows import class_row

from keelson.agent.jobs import Job
from keelson.backups.drills import evidence
from keelson.backups.drills.evidence import Drill
from keelson.backups.engines import name_of
from keelson.backups.store import Store
from keelson.endpoint import MAINTENANCE_DATABASE, Reference, resolve
from keelson.redis.wire import conversation
from keelson.target import target

STATEMENT_SECONDS = 2  # for all databases of a server
REDIS_SECONDS = 2.0
MONITOR = "monitor"  # the login of a Redis that may look and change nothing
DATABASE, KEYS = re.compile(r"db\d+"), re.compile(r"keys=(\d+)")  # db0:keys=3,expires=0,…


@dataclass(frozen=True)
class DatabaseFigures:
    """One database, as pg_stat_database and pg_stat_activity tell; counted since the statistics were reset."""

    datname: str
    size: int
    numbackends: int
    xact_commit: int
    xact_rollback: int
    blks_hit: int
    blks_read: int
    deadlocks: int
    transaction_id_age: int
    oldest_transaction: float
    max_connections: int

    @property
    def cache_hit_ratio(self) -> float:
        """The part of the blocks that were found in the server's memory; 1 before the first was read."""
        blocks = self.blks_hit + self.blks_read
        return self.blks_hit / blocks if blocks else 1.0


@dataclass(frozen=True)
class RedisFigures:
    """One Redis, as INFO tells."""

    memory: int
    max_memory: int
    clients: int
    evicted: int
    hits: int
    misses: int
    last_save: float
    saves_well: bool
    keys: dict[str, int]  # by numbered database


@dataclass(frozen=True)
class BackupFigures:
    """The newest good backup, whoever asked for it, and the newest drill."""

    size: int
    begun: float
    ended: float
    drill: Drill | None = None


def of_server(reference: Reference, databases: Collection[str]) -> list[DatabaseFigures]:
    """Return the figures of a server's databases; raises KeelsonError or psycopg.Error."""
    endpoint = resolve(reference.to(database=MAINTENANCE_DATABASE))
    with (
        endpoint.connect("keelson agent", patience=0) as connection,
        connection.cursor(row_factory=class_row(DatabaseFigures)) as cursor,
    ):
        cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
        return cursor.execute(_query(), [sorted(databases)]).fetchall()


def of_redis(reference: Reference) -> RedisFigures:
    """Return the figures of a Redis; raises KeelsonError, RefusedError or OSError."""
    place = target(reference.target)
    address = place.locate(reference.stack, reference.server)
    password = place.password(reference.stack, reference.server, MONITOR)
    with conversation(address, MONITOR, password, REDIS_SECONDS) as redis:
        info = redis.info()
    return RedisFigures(
        memory=int(info["used_memory"]),
        max_memory=int(info["maxmemory"]),
        clients=int(info["connected_clients"]),
        evicted=int(info["evicted_keys"]),
        hits=int(info["keyspace_hits"]),
        misses=int(info["keyspace_misses"]),
        last_save=float(info["rdb_last_save_time"]),
        saves_well=info["rdb_last_bgsave_status"] == "ok" and info.get("aof_last_write_status", "ok") == "ok",
        keys={name[2:]: int(KEYS.findall(told)[0]) for name, told in info.items() if DATABASE.fullmatch(name)},
    )


def of_backups(job: Job) -> BackupFigures | None:
    """Return the figures of the newest good backup of what `job` backs up, None where there is none; raises KeelsonError."""
    store, name = Store.of_job(job), name_of(job.engine, job.reference)
    backup = store.last(name)
    if backup is None:
        return None
    manifest, drill = backup.manifest, evidence.last(store, name)
    return BackupFigures(manifest.bytes, manifest.begun.timestamp(), manifest.ended.timestamp(), drill)


@cache
def _query() -> bytes:
    return (Path(__file__).parent / "databases.sql").read_bytes()
