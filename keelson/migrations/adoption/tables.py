"""Which tables of a database are ledgers of other tools."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.postgres.catalog import has_table

# For each tool its table's usual name, and the columns that tell it from others of that name.
TOOLS = {
    "flyway": ("flyway_schema_history", {"installed_rank", "version", "script", "checksum", "success"}),
    "golang-migrate": ("schema_migrations", {"version", "dirty"}),
    "dbmate": ("schema_migrations", {"version"}),
    "goose": ("goose_db_version", {"id", "version_id", "is_applied"}),
    "alembic": ("alembic_version", {"version_num"}),
    "prisma": ("_prisma_migrations", {"migration_name", "checksum", "finished_at", "rolled_back_at"}),
    "diesel": ("__diesel_schema_migrations", {"version", "run_on"}),
    "sqlx": ("_sqlx_migrations", {"version", "success", "checksum"}),
    "tern": ("schema_version", {"version"}),
    "documents": ("schema_versions", {"version", "applied_at", "description"}),
}
_KNOWN = {"dirty": "golang-migrate"}  # a column that only this tool's table of that name has

_FIND = """
    SELECT n.nspname, c.relname, array_agg(a.attname::text)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND (n.nspname, c.relname) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
    GROUP BY 1, 2 ORDER BY 2
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Another tool's ledger."""

    tool: str
    schema: str
    name: str

    @property
    def identifier(self) -> sql.Identifier:
        """The table in SQL."""
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"


def find_tables(connection: psycopg.Connection) -> list[Table]:
    """Return the ledgers of other tools in the schema public."""
    names = sorted({name for name, _ in TOOLS.values()} - {"schema_versions"})
    found = []
    for schema, name, columns in _look(connection, [("public", name) for name in names]):
        fitting = [tool for tool, (table, needed) in TOOLS.items() if table == name and needed <= columns]
        known = [tool for column, tool in _KNOWN.items() if column in columns and tool in fitting]
        found += [Table(tool, schema, name) for tool in (known or fitting)[:1]]
    return found


def refuse_unadopted(connection: psycopg.Connection) -> None:
    """Raise MigrationError where another tool has migrated this database, and nobody has said yet what that means here."""
    for table in find_tables(connection):
        if has_rows(connection, table) and not _has_history(connection):
            msg = (
                f"{connection.info.dbname!r} was migrated by {table.tool}, which keeps {table}; take that over by"
                " `keelson migrate import`, or say where to begin by `keelson migrate baseline`"
            )
            raise MigrationError(msg)


def find_table(connection: psycopg.Connection, tool: str, name: str) -> Table:
    """Return the ledger of one tool; `name` where it is not the usual one, with its schema where that is not public.

    Raises:
        MigrationError: there is none, or it is not that tool's.
    """
    usual, needed = TOOLS[tool]
    schema, _, table = (name or usual).rpartition(".")
    chosen = Table(tool, schema or "public", table)
    rows = _look(connection, [(chosen.schema, chosen.name)])
    if not rows:
        msg = f"{connection.info.dbname!r} has no table {chosen}; name it by --table, or the tool by --from"
        raise MigrationError(msg)
    columns = rows[0][2]
    if missing := sorted(needed - columns):
        msg = f"{chosen} has no column {missing[0]!r}, which a ledger of {tool} has; name the tool by --from"
        raise MigrationError(msg)
    return chosen


def has_rows(connection: psycopg.Connection, table: Table) -> bool:
    """Say whether a ledger holds something; one that may not be read is taken to."""
    query = "SELECT pg_catalog.has_table_privilege(%s, 'SELECT')"
    row = connection.execute(query, [table.identifier.as_string(connection)]).fetchone()
    if not (row and row[0]):
        return True
    row = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table.identifier)).fetchone()
    return bool(row and row[0])


def _has_history(connection: psycopg.Connection) -> bool:
    if not has_table(connection, "public.schema_history"):
        return False
    row = connection.execute("SELECT EXISTS (SELECT FROM public.schema_history)").fetchone()
    return bool(row and row[0])


def _look(connection: psycopg.Connection, names: list[tuple[str, str]]) -> list[tuple[str, str, set[str]]]:
    schemas, tables = [schema for schema, _ in names], [table for _, table in names]
    rows = connection.execute(_FIND, [schemas, tables]).fetchall()
    return [(schema, name, set(columns)) for schema, name, columns in rows]
