"""Seeds: the rows that an environment starts with, from SQL and CSV files; one runs again when its text changes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations import session
from keelson.migrations.apply import LOCK_DEADLINE, Progress, tell_nobody
from keelson.migrations.files import list_names, read_text, read_unchanged, refuse_changed, relative, text_hash
from keelson.migrations.statements import CopyData, Statement, split
from keelson.postgres.locks import advisory_lock

__all__ = ["SeedFile", "apply_seeds", "read_applied_seeds", "read_seeds", "refuse_changed"]

_SQL = re.compile(r"(?P<number>[0-9]{1,18})(_[A-Za-z0-9][A-Za-z0-9_-]*)?\.sql")
_CSV = re.compile(r"(?P<number>[0-9]{1,18})_((?P<schema>[A-Za-z_]\w*)\.)?(?P<table>[A-Za-z_]\w*)\.csv")
_ROWS = sql.Identifier("keelson_seed_rows")


@dataclass(frozen=True, slots=True)
class SeedFile:
    """One seed as it was when its folder was read.

    Attributes:
        name: The folder and the file's name, which identify the seed.
        sha256: Hash of the text without BOM and with LF line ends.
        table: The table, with its schema, that a CSV file's rows go to; empty for SQL.
        path: Where to read it.
        source: The path relative to the project, for messages.
    """

    name: str
    sha256: str
    table: tuple[str, ...]
    path: Path = field(compare=False)
    source: str = field(compare=False)

    def text(self) -> str:
        """Read the file again; raises MigrationError when it is not what it was when its folder was read."""
        return read_unchanged(self.path, self.source, self.sha256)


def read_seeds(directory: Path, folders: Iterable[str], root: Path | None = None) -> tuple[SeedFile, ...]:
    """Return the seeds in `folders` of `directory`, folder by folder, each by number and name.

    Raises:
        MigrationError: a folder is missing, a name is not allowed, or a file is empty or not UTF-8.
    """
    return tuple(seed for folder in folders for seed in _read_folder(directory / folder, root))


def apply_seeds(
    connection: psycopg.Connection,
    seeds: Sequence[SeedFile],
    *,
    owner: str | None = None,
    on_progress: Progress | None = None,
    lock_deadline: float = LOCK_DEADLINE,
) -> dict[str, str]:
    """Load the seeds that are new or changed and return {name: sha256} of all that were ever loaded.

    Arguments and errors are those of `keelson.migrations.apply`.
    """
    tell = on_progress or tell_nobody
    if not _pending(connection, seeds, owner):
        return _applied(connection, owner)
    what = f"migrations and seeds of database {connection.info.dbname!r}"
    with advisory_lock(connection, session.LOCK_KEY, what, lock_deadline):
        with session.reading_ledger(connection), session.as_owner(connection, owner):
            if not _exists(connection):
                connection.execute(resources.files(__package__).joinpath("seeds.sql").read_bytes())
        pending = _pending(connection, seeds, owner)
        for number, seed in enumerate(pending, 1):
            tell(f"{connection.info.dbname}: seed {seed.name} ({number} of {len(pending)})")
            _load(connection, seed, owner, tell)
        return _applied(connection, owner)


def read_applied_seeds(connection: psycopg.Connection) -> dict[str, str]:
    """Return {name: sha256} of the seeds that were loaded."""
    if not _exists(connection):
        return {}
    return dict(
        connection.execute("SELECT file, checksum FROM public.schema_seeds ORDER BY applied_at, file").fetchall()
    )


def _read_folder(folder: Path, root: Path | None) -> list[SeedFile]:
    found = [_read(folder / name, root) for name in list_names(folder, relative(folder, root))]
    return [seed for _, seed in sorted(found, key=lambda entry: (entry[0], entry[1].name))]


def _read(path: Path, root: Path | None) -> tuple[int, SeedFile]:
    source = relative(path, root)
    match = _SQL.fullmatch(path.name) or _CSV.fullmatch(path.name)
    if match is None or path.is_dir():
        msg = f"{source} is no seed's name; name it like 001_users.sql or 001_market_data.symbols.csv, or move it elsewhere"
        raise MigrationError(msg)
    text = read_text(path, source)
    if not text.strip():
        msg = f"{source} is empty; write its rows or delete it"
        raise MigrationError(msg)
    parts = match.groupdict()
    table = tuple(part for part in (parts.get("schema"), parts.get("table")) if part)
    return int(match["number"]), SeedFile(f"{path.parent.name}/{path.name}", text_hash(text), table, path, source)


def _pending(connection: psycopg.Connection, seeds: Sequence[SeedFile], owner: str | None) -> list[SeedFile]:
    applied = _applied(connection, owner)
    return [seed for seed in seeds if applied.get(seed.name) != seed.sha256]


def _applied(connection: psycopg.Connection, owner: str | None) -> dict[str, str]:
    with session.reading_ledger(connection), session.as_owner(connection, owner):
        return read_applied_seeds(connection)


def _load(connection: psycopg.Connection, seed: SeedFile, owner: str | None, tell: Progress) -> None:
    text = seed.text()
    columns = _header(text, seed.source) if seed.table else []
    statements = _csv_statements(connection, seed, columns, text) if seed.table else split(text, seed.source)

    def work() -> None:
        session.run_statements(connection, statements, seed.source)
        session.set_owner(connection, owner)
        for column in columns:
            _advance_sequence(connection, seed.table, column)
        _record(connection, seed)

    session.run_file(connection, seed.source, owner, work, tell)


def _header(text: str, source: str) -> list[str]:
    columns = [name.strip() for name in next(csv.reader(text.splitlines()[:1]))]
    if not all(columns) or len(set(columns)) != len(columns):
        msg = f"{source}:1: the header must name each column once; correct it"
        raise MigrationError(msg)
    return columns


def _csv_statements(connection: psycopg.Connection, seed: SeedFile, columns: list[str], text: str) -> list[Statement]:
    """Load into a temporary table first, since COPY itself cannot leave out rows that are there already."""
    names = {
        "rows": _ROWS,
        "table": sql.Identifier(*seed.table),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
    }
    texts = [
        sql.SQL(template).format(**names).as_string(connection)
        for template in (
            "CREATE TEMPORARY TABLE {rows} ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA",
            "COPY {rows} FROM STDIN WITH (FORMAT csv, HEADER true)",
            "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {rows} ON CONFLICT DO NOTHING",
        )
    ]
    make, copy, insert = (Statement(line, 1, "", "", ()) for line in texts)
    return [make, Statement(copy.text, 1, "copy_stmt", "", (), CopyData(1, text)), insert]


def _advance_sequence(connection: psycopg.Connection, table: tuple[str, ...], column: str) -> None:
    """Let a column's own sequence go on above the values that were loaded."""
    name = sql.Identifier(*table).as_string(connection)
    row = connection.execute("SELECT pg_catalog.pg_get_serial_sequence(%s, %s)", [name, column]).fetchone()
    if row and row[0]:
        query = sql.SQL(
            "SELECT setval({name}, max({column})) FROM {table} HAVING max({column}) >= (SELECT last_value FROM {sequence})"
        )
        sequence = sql.SQL(row[0])  # quoted by the server where it needs quotes
        parts = {"name": sql.Literal(row[0]), "column": sql.Identifier(column), "table": sql.Identifier(*table)}
        connection.execute(query.format(sequence=sequence, **parts))


def _record(connection: psycopg.Connection, seed: SeedFile) -> None:
    query = """
        INSERT INTO public.schema_seeds (file, checksum, applied_at, duration, applied_by)
        VALUES (%s, %s, clock_timestamp(), clock_timestamp() - transaction_timestamp(), session_user || %s)
        ON CONFLICT (file) DO UPDATE SET (checksum, applied_at, duration, applied_by)
            = (EXCLUDED.checksum, EXCLUDED.applied_at, EXCLUDED.duration, EXCLUDED.applied_by)
    """
    connection.execute(query, [seed.name, seed.sha256, f" from {session.who()}"])


def _exists(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_catalog.to_regclass('public.schema_seeds') IS NOT NULL").fetchone()
    return bool(row and row[0])
