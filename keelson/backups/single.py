"""One table of a backup, put beside the live one under another name, for rows to be taken over by whoever knows which.

It goes by way of a whole copy, so types, hypertables and generated columns are what they were; the copy is dropped at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from keelson.backups.copies import administrator, copies, discard_copy
from keelson.backups.engines import Destination
from keelson.backups.folder import Watch
from keelson.backups.making import ignore, restore
from keelson.backups.store import Backup
from keelson.endpoint import resolve
from keelson.errors import BackupError
from keelson.postgres.names import RoleNames

SCHEMA = "restored"  # where tables of backups lie unless somebody says otherwise
_COLUMNS = """
    SELECT attname, pg_catalog.format_type(atttypid, atttypmod), attgenerated <> '', attidentity = 'a' FROM pg_catalog.pg_attribute
    WHERE attrelid = %s::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_FOUND = """
    SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = pg_catalog.to_regclass(%s) AND c.relkind IN ('r', 'p')
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table that was backed up."""

    name: str
    type: str
    generated: bool
    always: bool  # a number that the database gives, and nobody else may


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the backup."""

    schema: str
    name: str
    columns: Sequence[Column]

    @property
    def where(self) -> sql.Identifier:
        """Its name in SQL."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Single:
    """What came of it: where the rows are, how many, and the statement that takes them over."""

    table: str
    rows: int
    statement: str


def restore_table(
    backup: Backup, destination: Destination, table: str, into: str | None = None, watch: Watch = ignore
) -> Single:
    """Put the table `table` of a backup into the live database as `into`; nothing that is there is touched.

    Args:
        backup: of the service.
        destination: the copy by way of which it goes.
        table: its name, as SQL has it; in public where it names no schema.
        into: the new table's name; None: in the schema `restored`, with the backup's id.
        watch: is told how many bytes were read.

    Raises:
        BackupError: the backup has no such table, `into` is there, or the live database lacks a type; nothing is left.
    """
    reference, service = destination.reference, destination.service
    with administrator(reference) as admin:
        is_there = reference.database in {copy.name for copy in copies(admin) if copy.service == service}
    if not is_there:
        restore(backup, destination, watch)
    live = reference.to(database=service)
    try:
        with (
            resolve(reference).connect("keelson restore") as source,
            resolve(live).connect("keelson restore") as target,
        ):
            found = _find(source, backup, table)
            return _bring(source, target, found, _named(target, found, backup, into), service)
    finally:
        if not is_there:
            discard_copy(reference, service, reference.database)


def _find(source: psycopg.Connection, backup: Backup, name: str) -> Table:
    try:
        row = source.execute(_FOUND, [name]).fetchone()
    except psycopg.Error:
        row = None
    if row is None:
        msg = f"the backup {backup.id} has no table {name}; `keelson restore {backup.manifest.database} --backup {backup.id}` lists its tables"
        raise BackupError(msg)
    oid, schema, table = row
    source.execute("SELECT pg_catalog.set_config('search_path', '', false)")  # types are named with their schemas
    return Table(schema, table, [Column(*each) for each in source.execute(_COLUMNS, [oid]).fetchall()])


def _named(target: psycopg.Connection, table: Table, backup: Backup, into: str | None) -> tuple[str, str]:
    """Return schema and name of the new table; raises BackupError where they name none, or one that is there."""
    try:
        row = target.execute("SELECT pg_catalog.parse_ident(%s)", [into]).fetchone() if into else None
    except psycopg.Error:
        row = ([],)
    names = row[0] if row else [SCHEMA, f"{table.name}_{backup.id.lower()}"[-63:]]
    schema, name = ["public", *names][-2:] if 1 <= len(names) <= 2 else ("", "")  # noqa: PLR2004 - a schema and a name
    query = """
        SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE (n.nspname, c.relname) = (%s, %s)
    """
    if not name or target.execute(query, [schema, name]).fetchone():
        why = f"there is a {schema}.{name} in the database already" if name else f"{into!r} names no table"
        msg = f"{why}, and nothing is restored over; give a new name with --into-table"
        raise BackupError(msg)
    return schema, name


def _bring(
    source: psycopg.Connection, target: psycopg.Connection, table: Table, names: tuple[str, str], service: str
) -> Single:
    where = sql.Identifier(*names)
    try:
        with target.transaction():
            target.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(RoleNames(service).owner)))
            if not target.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", names[:1]).fetchone():
                target.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(names[0])))
            target.execute(sql.SQL("CREATE TABLE {} ({})").format(where, _columns(table)))
            rows = _copy(source, target, table, where)
    except psycopg.Error as fault:
        said = fault.diag.message_primary or str(fault)
        msg = f"the table {table.schema}.{table.name} cannot be made in {service}: {said}; restore a whole copy with --into"
        raise BackupError(msg) from None
    return Single(where.as_string(target), rows, _statement(table, where).as_string(target))


def _columns(table: Table) -> sql.Composable:
    name_and_type = sql.SQL("{} {}").format  # a type is the server's own text
    return sql.SQL(", ").join(name_and_type(sql.Identifier(each.name), sql.SQL(each.type)) for each in table.columns)


def _copy(source: psycopg.Connection, target: psycopg.Connection, table: Table, where: sql.Identifier) -> int:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    out = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(names, table.where)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(where, names)
    with source.cursor() as reader, target.cursor() as writer:
        with reader.copy(out) as read, writer.copy(into) as written:
            for block in read:
                written.write(block)
        return writer.rowcount


def _statement(table: Table, where: sql.Identifier) -> sql.Composed:
    """Return what takes over the rows that are missing."""
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns if not column.generated)
    given = sql.SQL(" OVERRIDING SYSTEM VALUE" if any(column.always for column in table.columns) else "")
    query = sql.SQL("INSERT INTO {} ({}){} SELECT {} FROM {} ON CONFLICT DO NOTHING")
    return query.format(table.where, names, given, names, where)
