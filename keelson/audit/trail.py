"""Reading the trail: its heads, its faults, its entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Self

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from keelson.errors import AuditError
from keelson.postgres import catalog
from keelson.postgres.belonging import table_label
from keelson.postgres.names import RoleNames

ROWS_AT_ONCE = 1000
COLUMNS = (
    *("lane", "number", "at", "transaction", "login", "actor", "relation", "operation"),
    *("row_key", "changed", "old", "new", "hash"),
)

_HEADS = "SELECT DISTINCT ON (lane) lane, number, encode(hash, 'hex') FROM audit.entries ORDER BY lane, number DESC"
_THERE = "SELECT encode(hash, 'hex') FROM audit.entries WHERE (lane, number) = (%s, %s)"
_COUNTS = "SELECT (SELECT count(*) FROM audit.entries), (SELECT count(*) FROM audit.details)"
_OPEN = """
    SELECT DISTINCT r.rolname FROM pg_catalog.pg_roles r, pg_catalog.pg_class c
    WHERE c.relnamespace = to_regnamespace('audit') AND c.relkind = 'r' AND r.rolname = ANY (%s)
      AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
"""
_ENTRIES = """
    SELECT lane, number, at, transaction, login, actor, relation, operation, row_key, changed, old, new, encode(hash, 'hex') AS hash
    FROM audit.entries LEFT JOIN audit.details USING (lane, number)
    WHERE at >= coalesce(%s, '-infinity'::timestamptz) AND at < coalesce(%s, 'infinity'::timestamptz)
    ORDER BY at, lane, number
"""


@dataclass(frozen=True, slots=True)
class Head:
    """Where one lane ends: its last entry's number and hash."""

    lane: int
    number: int
    hash: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the head that is written as `lane:number:hash`; raises AuditError."""
        parts = text.strip().split(":")
        try:
            return cls(int(parts[0]), int(parts[1]), bytes.fromhex(parts[2]).hex())
        except (ValueError, IndexError):
            msg = f"{text!r} is no head; give what `keelson audit head` printed"
            raise AuditError(msg) from None

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.lane}:{self.number}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the trail found: how much there is, and a sentence for each fault."""

    entries: int
    details: int
    faults: tuple[str, ...]


def heads(connection: psycopg.Connection) -> tuple[Head, ...]:
    """Return where each lane ends; raises AuditError where the database has no trail."""
    refuse_missing(connection)
    return tuple(Head(*row) for row in connection.execute(_HEADS).fetchall())


def read_heads(text: str) -> tuple[Head, ...]:
    """Return the heads that `write_heads` wrote; raises AuditError."""
    return tuple(Head.read(part) for part in text.replace("\n", ",").split(",") if part.strip())


def write_heads(found: Sequence[Head]) -> str:
    """Return heads as one word."""
    return ",".join(map(str, found))


def verify(connection: psycopg.Connection, service: str, audited: Sequence[str], known: Sequence[Head] = ()) -> Found:
    """Look at the whole trail, as it is at one moment.

    Args:
        connection: As the owner.
        service: Whose application must not write to it.
        audited: The tables whose changes it should hold.
        known: Heads that were kept elsewhere.

    Raises:
        AuditError: the database has no trail.
    """
    with _snapshot(connection):
        row = connection.execute(_COUNTS).fetchone() or (0, 0)
        wrong = [f"entry {lane}:{number} {fault}" for lane, number, fault in connection.execute(_query("faults"))]
        wrong += _behind(connection, known)
        wrong += unwatched(connection, service, audited)
    return Found(row[0], row[1], tuple(wrong))


def unwatched(connection: psycopg.Connection, service: str, audited: Sequence[str]) -> list[str]:
    """Return a sentence for each table whose changes are not written, and each role that may touch the trail."""
    watched = {table for (table,) in connection.execute(_query("triggers")).fetchall()}
    names = RoleNames(service)
    found = [
        f"changes of {table} are not written to the trail: its triggers are missing or switched off"
        for table in map(table_label, audited)
        if table not in watched
    ]
    roles = [names.app, names.readonly, names.app_a, names.app_b, names.readonly_a, names.readonly_b]
    opened = connection.execute(_OPEN, [roles]).fetchall()
    return found + [f"{role} has rights on the trail: REVOKE them" for (role,) in opened]


def entries(
    connection: psycopg.Connection, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Mapping[str, object]]:
    """Yield the entries from `since` on and before `until`, in order of time, with the values that were not erased.

    Raises:
        AuditError: the database has no trail.
    """
    with _snapshot(connection), connection.cursor("entries", row_factory=dict_row) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        yield from cursor.execute(_ENTRIES, [since, until])


def refuse_missing(connection: psycopg.Connection) -> None:
    """Raise AuditError where the database has no trail."""
    if not catalog.has_table(connection, "audit.entries"):
        msg = f"{connection.info.dbname} has no audit trail; make one by a migration (docs/audit.md)"
        raise AuditError(msg)


def _behind(connection: psycopg.Connection, known: Sequence[Head]) -> list[str]:
    """Return a sentence for each head that is not in the trail any more."""
    found = []
    for head in known:
        row = connection.execute(_THERE, [head.lane, head.number]).fetchone()
        if row is None:
            found.append(f"lane {head.lane} ended at {head.number} when the head was taken, and that entry is gone")
        elif row[0] != head.hash:
            found.append(f"entry {head.lane}:{head.number} is another one than when the head was taken")
    return found


@contextmanager
def _snapshot(connection: psycopg.Connection) -> Iterator[None]:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        refuse_missing(connection)
        yield


def _query(name: str) -> sql.SQL:
    return sql.SQL((resources.files(__package__) / f"{name}.sql").read_text(encoding="utf-8"))
