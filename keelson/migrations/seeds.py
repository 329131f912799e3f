"""Seeds: the rows that an environment starts with, from SQL and CSV files; one runs again when its text changes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations import session
from keelson.migrations.applying import Progress, tell_nobody
from keelson.migrations.files import list_names, refuse_changed, relative
from keelson.migrations.parts import Part
from keelson.migrations.runner import transactional
from keelson.migrations.seed_directives import ENVIRONMENTS, read_directives
from keelson.migrations.statements import CopyData, Statement
from keelson.postgres.catalog import has_table

__all__ = [
    "SeedFile",
    "apply_seeds",
    "read_applied_seeds",
    "read_seeds",
    "refusals",
    "refuse_changed",
    "refuse_folder",
]

_SQL = re.compile(r"(?P<number>[0-9]{1,18})(_[A-Za-z0-9][A-Za-z0-9_-]*)?\.sql")
_CSV = re.compile(r"(?P<number>[0-9]{1,18})_((?P<schema>[A-Za-z_]\w*)\.)?(?P<table>[A-Za-z_]\w*)\.csv")
_ROWS = sql.Identifier("keelson_seed_rows")
_LEDGER = "public.schema_seeds"
_STRICT = "prod"  # which takes no other environment's rows


@dataclass(frozen=True, slots=True)
class SeedFile:
    """One seed as it was when its folder was read.

    Attributes:
        name: The folder and the file's name, which identify the seed.
        sha256: Hash of its meaning, for SQL; of the text, for CSV.
        text_sha256: Hash of the text without BOM and with LF line ends.
        table: The table, with its schema, that a CSV file's rows go to; empty for SQL.
        part: Where its text is.
    """

    name: str
    sha256: str
    text_sha256: str
    table: tuple[str, ...]
    part: Part = field(compare=False)

    @property
    def source(self) -> str:
        """The path relative to the project, for messages."""
        return self.part.source

    @property
    def hashes(self) -> tuple[str, str]:
        """The hashes by which a ledger may know it: ledgers of before knew the text's."""
        return self.sha256, self.text_sha256

    def text(self) -> str:
        """Return all of the text; raises MigrationError."""
        return self.part.text()

    def count_rows(self) -> int:
        """Return how many rows a CSV file has at most; raises MigrationError."""
        return max(sum(block.count(b"\n") for block in self.part.blocks()) - 1, 0)

    def refuse_changed(self) -> None:
        """Raise MigrationError when the file is not what it was when its folder was read."""
        if self.part.text_sha256() != self.text_sha256:
            msg = f"{self.source} changed since the plan was made; run the command again to see the new plan"
            raise MigrationError(msg)


def read_seeds(
    directory: Path, folders: Iterable[str], root: Path | None = None, environment: str = ""
) -> tuple[SeedFile, ...]:
    """Return the seeds in `folders` of `directory`, folder by folder, each by number and name.

    Args:
        directory: The folder seeds/ of a database.
        folders: The names of the folders in it.
        root: What paths in messages are relative to.
        environment: The environment that they are for; empty where they are only looked at.

    Raises:
        MigrationError: a folder is missing, a name is not allowed, a file is empty or not UTF-8, is for another
            environment, or has what looks like a secret.
    """
    found: list[SeedFile] = []
    for folder in folders:
        refuse_folder(relative(directory / folder, root), folder, environment)
        found += _read_folder(directory / folder, root, environment)
    return tuple(found)


def refusals(directory: Path, root: Path | None = None) -> tuple[str, ...]:
    """Return why seeds of any environment cannot be read, a sentence each, as `read_seeds` would say it of the first."""
    folders = sorted(path for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []
    files = (folder / name for folder in folders for name in list_names(folder, relative(folder, root)))
    return tuple(filter(None, (_refusal(path, root) for path in files)))


def _refusal(path: Path, root: Path | None) -> str:
    try:
        _read(path, root, "")
    except MigrationError as fault:
        return str(fault)
    return ""


def refuse_folder(source: str, folder: str, environment: str) -> None:
    """Raise MigrationError where rows of another environment would get into prod, whatever the settings say."""
    if environment == _STRICT and folder in ENVIRONMENTS and folder != environment:
        msg = (
            f"{source} has the rows of {folder}, and this is {environment}; take it out of 'seeds.{environment}' in database.yaml,"
            " or rename the folder if its rows are for every environment"
        )
        raise MigrationError(msg)


def apply_seeds(
    connection: psycopg.Connection,
    seeds: Sequence[SeedFile],
    *,
    owner: str | None = None,
    on_progress: Progress | None = None,
    lock_deadline: float = session.LOCK_DEADLINE,
) -> dict[str, str]:
    """Load the seeds that are new or changed and return {name: sha256} of all that were ever loaded.

    Arguments and errors are those of `keelson.migrations.apply`.
    """
    tell = on_progress or tell_nobody
    if not _pending(connection, seeds, owner):
        return _applied(connection, owner)
    with session.runners_lock(connection, lock_deadline, tell):
        with session.reading_ledger(connection), session.as_owner(connection, owner):
            if not has_table(connection, _LEDGER):
                connection.execute(resources.files(__package__).joinpath("seeds.sql").read_bytes())
        pending = _pending(connection, seeds, owner)
        for number, seed in enumerate(pending, 1):
            tell(f"{connection.info.dbname}: seed {seed.name} ({number} of {len(pending)})")
            _load(connection, seed, owner, tell)
        return _applied(connection, owner)


def read_applied_seeds(connection: psycopg.Connection) -> dict[str, str]:
    """Return {name: sha256} of the seeds that were loaded."""
    if not has_table(connection, _LEDGER):
        return {}
    return dict(
        connection.execute("SELECT file, checksum FROM public.schema_seeds ORDER BY applied_at, file").fetchall()
    )


def _read_folder(folder: Path, root: Path | None, environment: str) -> list[SeedFile]:
    found = [_read(folder / name, root, environment) for name in list_names(folder, relative(folder, root))]
    return [seed for _, seed in sorted(found, key=lambda entry: (entry[0], entry[1].name))]


def _read(path: Path, root: Path | None, environment: str) -> tuple[int, SeedFile]:
    source = relative(path, root)
    match = _SQL.fullmatch(path.name) or _CSV.fullmatch(path.name)
    if match is None or path.is_dir():
        msg = f"{source} is no seed's name; name it like 001_users.sql or 001_market_data.symbols.csv, or move it elsewhere"
        raise MigrationError(msg)
    parts = match.groupdict()
    table = tuple(name for name in (parts.get("schema"), parts.get("table")) if name)
    part = Part(path, source, is_seed=True)
    sha256, text_sha256 = _csv_hashes(part) if table else _sql_hashes(part)
    said = read_directives(part, is_csv=bool(table))
    said.refuse_elsewhere(environment)
    said.refuse_secrets(part)
    return int(match["number"]), SeedFile(f"{path.parent.name}/{path.name}", sha256, text_sha256, table, part)


def _csv_hashes(part: Part) -> tuple[str, str]:
    sha256 = part.text_sha256()
    if all(block.isspace() for block in part.blocks()):
        msg = f"{part.source} is empty; write its rows or delete it"
        raise MigrationError(msg)
    return sha256, sha256


def _sql_hashes(part: Part) -> tuple[str, str]:
    facts = part.facts()
    if not facts.transaction:
        msg = f"{part.source}: a seed is one transaction; take the directive no-transaction out"
        raise MigrationError(msg)
    return facts.sha256, facts.text_sha256


def _pending(connection: psycopg.Connection, seeds: Sequence[SeedFile], owner: str | None) -> list[SeedFile]:
    applied = _applied(connection, owner)
    return [seed for seed in seeds if applied.get(seed.name) not in seed.hashes]


def _applied(connection: psycopg.Connection, owner: str | None) -> dict[str, str]:
    with session.reading_ledger(connection), session.as_owner(connection, owner):
        return read_applied_seeds(connection)


def _load(connection: psycopg.Connection, seed: SeedFile, owner: str | None, tell: Progress) -> None:
    seed.refuse_changed()
    columns = _header(seed.part) if seed.table else []

    def run() -> None:
        statements = _csv_statements(connection, seed, columns) if seed.table else transactional(seed.part)
        session.run_statements(connection, statements, seed.source)
        session.set_owner(connection, owner)
        for column in columns:
            _advance_sequence(connection, seed.table, column)
        _record(connection, seed)

    session.run_file(session.Work(connection, owner, tell), seed.source, run)


def _header(part: Part) -> list[str]:
    first = next(part.blocks()).partition(b"\n")[0].decode()
    columns = [name.strip() for name in next(csv.reader([first]))]
    if not all(columns) or len(set(columns)) != len(columns):
        msg = f"{part.source}:1: the header must name each column once; correct it"
        raise MigrationError(msg)
    return columns


def _csv_statements(connection: psycopg.Connection, seed: SeedFile, columns: list[str]) -> list[Statement]:
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
    make, copy, insert = (Statement(line, 1) for line in texts)
    return [make, replace(copy, copy_data=CopyData(1, *seed.part.open())), insert]


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
