"""The rows of a database: how many each table has, and a digest of them, whatever order they lie in.

A digest is the sum of 64-bit hashes of the rows, which PostgreSQL's own functions make of their values, columns in the order of their
names. It is the same after a dump and a restore: all that decides how a value is written is pinned. Backups of earlier versions have
digests of the rows' whole texts, which take more than twice as long; what a backup has is what it is compared by.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

from keelson.backups.folder import Folder
from keelson.backups.stream import LARGE_OBJECTS, table_name
from keelson.postgres import catalog

BY_VALUE, BY_TEXT = "digests", "hashes"  # the facts that hold digests; of an encrypted backup files are named so
NAME, EARLIER = f"{BY_VALUE}.json", f"{BY_TEXT}.json"
LARGE = 1 << 20  # bytes of a table
TABLES_AT_ONCE = 100  # that one statement counts
_PINNED = {
    "extra_float_digits": "1",  # the shortest text that reads back as the same number
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
}

HASHED = {
    "value": "{}",
    "text": '{}::pg_catalog.text COLLATE "C"',
    "row": 'ROW({})::pg_catalog.text COLLATE "C"',
}
Column = Callable[["Table"], sql.Composable]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows are in a dump; of an extension's own only those that the extension names."""

    schema: str
    name: str
    condition: str
    of_extension: bool
    columns: Sequence[tuple[str, str]]  # with how each is hashed, see tables.sql

    @property
    def label(self) -> str:
        """How a manifest names it."""
        return table_name(self.schema, self.name)

    @property
    def digest(self) -> sql.Composable:
        """The expression that makes one number of all its rows; zero where it has none.

        The hash of a record adds up those of its columns, so it is hashed once more: else values could change their rows unnoticed.
        """
        row = sql.SQL(", ").join(sql.SQL(HASHED[how]).format(sql.Identifier(name)) for name, how in self.columns)
        return _sum(sql.SQL("pg_catalog.hashint8extended(pg_catalog.hash_record_extended(ROW({}), 0), 0)").format(row))

    @property
    def digest_of_texts(self) -> sql.Composable:
        """The expression of earlier backups."""
        row = sql.SQL(", ").join(sql.Identifier(name) for name, _ in self.columns)
        return _sum(sql.SQL('pg_catalog.hashtextextended(ROW({})::pg_catalog.text COLLATE "C", 0)').format(row))

    def asked(self, further: sql.Composable) -> sql.Composed:
        """The query that counts its rows, and not those of tables that inherit from it, with a further expression of them."""
        query = sql.SQL("SELECT {}::pg_catalog.text, count(*), {} FROM ONLY {} {}")
        condition = sql.SQL(self.condition)  # the extension's own text
        return query.format(sql.Literal(self.label), further, sql.Identifier(self.schema, self.name), condition)


@dataclass(frozen=True, slots=True)
class Rows:
    """What was found: rows by table, those of extensions' tables by themselves, and the digests of the first."""

    counts: Mapping[str, int]
    of_extensions: Mapping[str, int]
    hashes: Mapping[str, str]


def large_tables(connection: psycopg.Connection) -> dict[str, int]:
    """Return the bytes of the large tables, as they were when last analyzed: the streams of a dump share them out by it.

    No table is opened for it, so it waits for nobody's lock.
    """
    query = """
        SELECT n.nspname, c.relname, (c.relpages + coalesce(t.relpages, 0))::int8 * pg_catalog.current_setting('block_size')::int8 AS bytes
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
        WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384 AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    """  # FirstNormalObjectId; extensions' own stay in their order
    return {
        table_name(schema, name): size for schema, name, size in connection.execute(query).fetchall() if size > LARGE
    }


def count_all(connection: psycopg.Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Return the rows by table, and those of extensions' tables; large objects count among the first."""
    found = _ask(connection, lambda _table: sql.SQL("NULL::pg_catalog.text"))
    return dict(found.counts), dict(found.of_extensions)


def digest_all(connection: psycopg.Connection, how: str = BY_VALUE) -> Rows:
    """Return the same with digests, `how` a backup has them; the session's settings are changed."""
    for name, value in _PINNED.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])

    def further(table: Table) -> sql.Composable:
        if table.of_extension:
            return sql.SQL("NULL")
        return table.digest if how == BY_VALUE else table.digest_of_texts

    return _ask(connection, further)


def _sum(hashed: sql.Composable) -> sql.Composable:
    return sql.SQL("coalesce(sum({}), 0)::pg_catalog.text").format(hashed)


def _ask(connection: psycopg.Connection, further: Column) -> Rows:
    if catalog.timescale_edition(connection) == "community":
        # pg_dump reads a compressed chunk without what is compressed
        connection.execute("SELECT pg_catalog.set_config('timescaledb.enable_transparent_decompression', 'off', false)")
    text = resources.files(__package__).joinpath("tables.sql").read_bytes()
    tables = [Table(*row) for row in connection.execute(text).fetchall()]
    counts: dict[bool, dict[str, int]] = {False: {}, True: {}}
    hashes: dict[str, str] = {}
    for of_extension, counted in counts.items():
        wanted = [table for table in tables if table.of_extension is of_extension]
        for some in (wanted[start : start + TABLES_AT_ONCE] for start in range(0, len(wanted), TABLES_AT_ONCE)):
            query = sql.SQL(" UNION ALL ").join(table.asked(further(table)) for table in some)
            for label, count, digest in connection.execute(query).fetchall():
                counted[label] = count
                hashes |= {} if of_extension else {label: digest}
    row = connection.execute("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata").fetchone()
    large = {LARGE_OBJECTS: row[0]} if row and row[0] else {}
    return Rows(counts[False] | large, counts[True], hashes)


def keep_hashes(hashes: Mapping[str, str], folder: Folder) -> dict[str, Any]:
    """Return hashes as facts of a manifest; of an encrypted backup they are a file, as who guesses a small table's rows could tell by them."""
    if not folder.seal.recipients:
        return {BY_VALUE: hashes}
    with folder.create(NAME) as file:
        file.write(json.dumps(hashes, ensure_ascii=False).encode())
    return {}


def kept_hashes(facts: Mapping[str, Any], folder: Folder) -> tuple[str, Mapping[str, str] | None]:
    """Return how the hashes of a backup were made, and them; None where it has none, being of an earlier version.

    Raises:
        DamagedError: they are not as they were written.
    """
    for how, name in ((BY_VALUE, NAME), (BY_TEXT, EARLIER)):
        if name in folder.names:
            with folder.open(name) as file:
                return how, dict(json.loads(b"".join(iter(file.read, b""))))
        if how in facts:
            return how, facts[how]
    return BY_VALUE, None
