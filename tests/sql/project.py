"""The SQL of the project as the tests need it: its files by database, and a way to run them on any connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import yaml
from psycopg import sql

SQL = Path(__file__).parents[2] / "sql"
DATABASES = sorted(path.parent.name for path in SQL.glob("*/database.yaml"))
ENVIRONMENTS = ("dev", "test", "demo", "staging", "prod")


def definition(database: str) -> dict:
    return yaml.safe_load((SQL / database / "database.yaml").read_text(encoding="utf-8"))


def number(path: Path) -> int:
    return int(re.match(r"\d+", path.name)[0])


def migrations(database: str) -> list[Path]:
    found = (SQL / database / "migrations").glob("*.sql")
    return sorted((path for path in found if not path.name.endswith(".down.sql")), key=number)


def undo_of(migration: Path) -> Path:
    return migration.with_name(migration.stem + ".down.sql")


def seed_folders(database: str, environment: str) -> list[str]:
    chosen = definition(database).get("seeds", {}).get(environment)
    if chosen is not None:
        return chosen
    return [name for name in ("reference", environment) if (SQL / database / "seeds" / name).is_dir()]


def seeds(database: str, environment: str) -> list[Path]:
    folders = [SQL / database / "seeds" / name for name in seed_folders(database, environment)]
    return [path for folder in folders for path in sorted(folder.iterdir(), key=number)]


def checks(database: str) -> list[Path]:
    return sorted((SQL / database / "checks").glob("*.sql"))


def run(connection: psycopg.Connection, path: Path) -> psycopg.Cursor:
    if path.suffix == ".csv":
        return _load(connection, path)
    return connection.execute(path.read_bytes())


@contextmanager
def undone(connection: psycopg.Connection, role: str) -> Iterator[psycopg.Connection]:
    """A transaction as `role`, rolled back in the end whatever was done."""
    with connection, connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        connection.execute("SET LOCAL search_path = public")
        yield connection


def row_counts(connection: psycopg.Connection) -> dict[str, int]:
    return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables(connection)}


def tables(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
        "WHERE schemaname !~ '^(pg_|information_schema$|_?timescaledb|keelson$)' "
        "AND tablename <> ALL (ARRAY['schema_versions', 'schema_seeds', 'schema_steps', 'schema_history']) ORDER BY 1",
    )
    return [name for (name,) in rows]


def _load(connection: psycopg.Connection, path: Path) -> psycopg.Cursor:
    schema, table = re.fullmatch(r"\d+_(\w+)\.(\w+)\.csv", path.name).groups()
    header = path.read_text(encoding="utf-8").split("\n", 1)[0].split(",")
    parts = {"table": sql.Identifier(schema, table), "columns": sql.SQL(", ").join(map(sql.Identifier, header))}
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE incoming AS SELECT {columns} FROM {table} WITH NO DATA").format(**parts)
    )
    with connection.cursor().copy("COPY incoming FROM STDIN (FORMAT csv, HEADER match)") as copy:
        copy.write(path.read_bytes())
    added = connection.execute(
        sql.SQL("INSERT INTO {table} ({columns}) SELECT * FROM incoming ON CONFLICT DO NOTHING").format(**parts),
    )
    connection.execute("DROP TABLE incoming")
    return added
