"""Brings a database to its timescale.yaml, by what the edition offers, or by other means.

| declared | Community | Apache |
|---|---|---|
| compression | a policy | lacking |
| retention | a policy | `run_substitutes` drops chunks |
| aggregate | a continuous aggregate with a policy | a materialized view that `run_substitutes` refreshes |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations import session
from keelson.postgres.catalog import Edition, timescale_edition
from keelson.timescale import statements
from keelson.timescale.definition import Aggregate, Definition, Hypertable
from keelson.timescale.statements import identifier

OURS = "Made by Keelson from timescale.yaml"
UNFILLED = f"{OURS} (not filled yet)"  # a run that is killed now makes it anew


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a definition: done by TimescaleDB itself, done by other means, or not possible.

    Each entry is a sentence's worth, such as `market_data.ohlcv: compression`. `left` names the aggregates that are
    declared no longer.
    """

    edition: Edition
    applied: tuple[str, ...]
    substituted: tuple[str, ...]
    lacking: tuple[str, ...]
    left: tuple[str, ...] = ()


def apply_policies(connection: psycopg.Connection, definition: Definition, *, owner: str | None = None) -> Report:
    """Bring the connected database to `definition` and report what its edition made of it.

    An aggregate whose query changed is made anew. One that is declared no longer stays, since it may hold what its table
    no longer has; a migration drops it. Policies that are declared no longer end, so that nothing is dropped unasked.

    Args:
        connection: The migrator's, in autocommit.
        definition: From `read_definition`.
        owner: The role that owns the hypertables, and that is to own the aggregates.

    Raises:
        MigrationError: the database has no TimescaleDB, a table is no hypertable, or the server refuses a statement.
        LockError: another runner holds the database.
    """
    edition = _edition(connection, definition)
    with session.runners_lock(connection):
        _refuse_plain_tables(connection, definition)
        if edition == "community":
            _set_chunk_policies(connection, definition, owner)
        for name, aggregate in definition.aggregates.items():
            _ensure_aggregate(connection, definition.source, name, aggregate, edition, owner)
        session.clean(connection)
        left = _left(connection, definition)
    return replace(report(definition, edition), left=left)


def report(definition: Definition, edition: Edition) -> Report:
    """Return what `edition` makes of `definition`; opens no connection."""
    compressed = [f"{name}: compression" for name, table in definition.hypertables.items() if table.compression]
    dropped = [name for name, table in definition.hypertables.items() if table.retention]
    aggregates = list(definition.aggregates)
    if edition == "community":
        applied = [
            *compressed,
            *(f"{name}: retention" for name in dropped),
            *(f"{name}: continuous" for name in aggregates),
        ]
        return Report(edition, tuple(applied), (), ())
    substituted = [
        *(f"{name}: retention by drop_chunks" for name in dropped),
        *(f"{name}: a materialized view" for name in aggregates),
    ]
    return Report(edition, (), tuple(substituted), (*compressed, *_short_histories(definition, dropped)))


def run_substitutes(
    connection: psycopg.Connection, definition: Definition, *, owner: str | None = None
) -> tuple[str, ...]:
    """Do once what the Apache edition does not do by itself; return a line for each thing that was done.

    On the Community edition there is nothing to do.
    """
    if _edition(connection, definition) == "community":
        return ()
    done: list[str] = []
    for name in definition.aggregates:
        with session.told(f"{definition.source}: {name}"), session.as_owner(connection, owner):
            connection.execute(statements.refresh_view(name))
        done.append(f"{name}: refreshed")
    for name, table in definition.hypertables.items():
        if table.retention:
            with session.told(f"{definition.source}: {name}"), session.as_owner(connection, owner):
                dropped = connection.execute(*statements.drop_chunks(name, table.retention)).rowcount
            done.append(f"{name}: {dropped} chunks dropped")
    return tuple(done)


def _edition(connection: psycopg.Connection, definition: Definition) -> Edition:
    edition = timescale_edition(connection)
    if edition is None:
        msg = f"{definition.source}: the database {connection.info.dbname!r} has no TimescaleDB; put it on a server that has"
        raise MigrationError(msg)
    return edition


def _refuse_plain_tables(connection: psycopg.Connection, definition: Definition) -> None:
    found = {name for name, _ in _hypertables(connection)}
    for name in definition.hypertables:
        if name not in found:
            database = connection.info.dbname
            msg = f"{definition.source}: {name} is no hypertable of {database!r}; make it one in a migration"
            raise MigrationError(msg)


def _hypertables(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Return name and owner of each hypertable."""
    query = """
        SELECT pg_catalog.concat_ws('.', hypertable_schema, hypertable_name), owner
        FROM timescaledb_information.hypertables ORDER BY 1
    """
    return connection.execute(query).fetchall()


def _set_chunk_policies(connection: psycopg.Connection, definition: Definition, owner: str | None) -> None:
    undeclared = {name: Hypertable() for name, whose in _hypertables(connection) if owner in {None, whose}}
    for name, table in (undeclared | definition.hypertables).items():
        with session.told(f"{definition.source}: {name}"), session.as_owner(connection, owner):
            for query, parameters in statements.chunk_policies(name, table):
                connection.execute(query, parameters)


def _ensure_aggregate(  # noqa: PLR0913, PLR0917 - what an aggregate is made of
    connection: psycopg.Connection, source: str, name: str, aggregate: Aggregate, edition: Edition, owner: str | None
) -> None:
    where, mark = f"{source}: {name}", _mark(aggregate, edition)
    stands = _remark(connection, name, where) == mark
    with session.told(where), session.as_owner(connection, owner):
        if not stands:
            connection.execute(sql.SQL("DROP MATERIALIZED VIEW IF EXISTS {}").format(identifier(name)))
        for query, parameters in _building(name, aggregate, edition, mark, stands=stands):
            connection.execute(query, parameters)
    if edition == "community" and not stands:
        with session.told(where):  # refused inside a transaction
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(owner)) if owner else "RESET ROLE")
            connection.execute(*statements.refresh_continuously(name))
            connection.execute(*statements.mark_continuous(name, mark))


def _building(
    name: str, aggregate: Aggregate, edition: Edition, mark: str, *, stands: bool
) -> Iterator[statements.Bound]:
    if edition == "community":
        if not stands:
            yield statements.continuous_aggregate(name, aggregate)
            yield statements.mark_continuous(name, UNFILLED)
        yield from statements.refresh_policy(name, aggregate)
    elif not stands:
        yield from statements.materialized_view(name, aggregate, mark)


def _mark(aggregate: Aggregate, edition: Edition) -> str:
    text = "\n".join([aggregate.query.strip(), *aggregate.unique])
    return f"{OURS} ({edition} {hashlib.sha256(text.encode()).hexdigest()[:16]})"


def _remark(connection: psycopg.Connection, name: str, where: str) -> str | None:
    """Return the comment that marks an aggregate as ours; None where there is none yet."""
    query = """
        SELECT coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '') FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = %s
    """
    row = connection.execute(query, [name]).fetchone()
    if row is None:
        return None
    if not row[0].startswith(OURS):
        msg = f"{where} is there and was not made from timescale.yaml; drop or rename it in a migration"
        raise MigrationError(msg)
    return str(row[0])


def _left(connection: psycopg.Connection, definition: Definition) -> tuple[str, ...]:
    """Return the aggregates that bear our mark and are declared no longer."""
    query = """
        SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('m', 'v') AND starts_with(pg_catalog.obj_description(c.oid, 'pg_class'), %s) ORDER BY 1
    """
    return tuple(name for (name,) in connection.execute(query, [OURS]) if name not in definition.aggregates)


def _short_histories(definition: Definition, dropped: list[str]) -> Iterator[str]:
    """A view that is computed anew from its table loses what retention took from that table."""
    for name, aggregate in definition.aggregates.items():
        for table in dropped:
            if table in aggregate.query:
                yield f"{name}: rows older than the retention of {table}"
