"""A copy of all that is known of a person, as one JSON file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psycopg
from psycopg import sql

from keelson.errors import PrivacyError
from keelson.postgres.possessions import fitting, rows_of, table_identifier
from keelson.privacy.catalog import read_catalog
from keelson.privacy.erasing import Opened
from keelson.privacy.receipts import Receipt, Receipts, canonical, now
from keelson.privacy.subject import Subject

FORMAT = 1
ROWS_AT_ONCE = 500


@dataclass
class Writer:
    """Writes a file and reckons its SHA-256."""

    file: BinaryIO
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, text: str) -> None:
        """Write some of it."""
        data = text.encode()
        self.digest.update(data)
        self.file.write(data)


def export(databases: Opened, person: str, path: Path, receipts: Receipts) -> Receipt:
    """Write the person's rows to a new file of mode 0600, and return the receipt.

    Each database is read as it was at one moment; the moments are taken one right after the other, before any row is read.

    Raises:
        PrivacyError: there is no row of the person, or the file is there already or cannot be written.
    """
    if path.exists():
        msg = f"{path} is there already; name another file with --out"
        raise PrivacyError(msg)
    with ExitStack() as stack:
        read = {subject.name: stack.enter_context(_snapshot(connection)) for subject, connection in databases}
        with _new_file(path) as writer:
            counts = _write(writer, databases, canonical(person), read, receipts.stack)
            if not any(rows for tables in counts.values() for rows in tables.values()):
                msg = f"no row of {person!r} is in {', '.join(counts)}; check the id"
                raise PrivacyError(msg)
    receipt = receipts.new("export", person)
    receipt.values["databases"] = {
        name: {"state": "done", "at": read[name], "tables": {table: {"rows": rows} for table, rows in tables.items()}}
        for name, tables in counts.items()
    }
    receipt.finish(sha256=writer.digest.hexdigest(), bytes=path.stat().st_size)
    return receipt


@contextmanager
def _snapshot(connection: psycopg.Connection) -> Iterator[str]:
    """Read the database in the block as it is now, and give that moment by its server's clock."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT to_json(clock_timestamp() AT TIME ZONE 'UTC') #>> '{}' || 'Z'").fetchone()
        yield str(row[0]) if row else ""


@contextmanager
def _new_file(path: Path) -> Iterator[Writer]:
    """Write a file that is there when the block is done, or not at all."""
    hidden = path.with_name(f".{path.name}.part")
    try:
        hidden.unlink(missing_ok=True)
        with os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            writer = Writer(file)
            yield writer
            file.flush()
            os.fsync(file.fileno())
        hidden.rename(path)
    except OSError as fault:
        msg = f"cannot write {path}: {fault.strerror}; make room or name another file with --out"
        raise PrivacyError(msg) from None
    finally:
        hidden.unlink(missing_ok=True)


def _write(
    writer: Writer, databases: Opened, person: str, read: dict[str, str], stack: str
) -> dict[str, dict[str, int]]:
    head = {"format": FORMAT, "user": person, "stack": stack, "exported_at": now()}
    writer.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "databases": {')
    counts: dict[str, dict[str, int]] = {}
    for subject, connection in databases:
        writer.write(f"{',' if counts else ''}\n{json.dumps(subject.name)}: {{")
        writer.write(f'"read_at": {json.dumps(read[subject.name])}, "tables": {{')
        counts[subject.name] = _write_tables(writer, subject, connection, person)
        writer.write("}}")
    writer.write("\n}}\n")
    return counts


def _write_tables(writer: Writer, subject: Subject, connection: psycopg.Connection, person: str) -> dict[str, int]:
    catalog, ways = read_catalog(connection), fitting(subject.belonging, connection, person)
    counts: dict[str, int] = {}
    for table, said in subject.tables.items():
        writer.write(f"{',' if counts else ''}\n {json.dumps(table)}: {{")
        if said.hide:
            writer.write(f'"left_out": {json.dumps(said.hide)}, ')
        writer.write('"rows": [')
        query = sql.SQL("SELECT (to_jsonb(t) - {}::text[])::text FROM {} t WHERE {} ORDER BY {}").format(
            sql.Literal(list(said.hide)),
            table_identifier(table),
            rows_of(ways, table, person),
            sql.SQL(", ").join(map(sql.Identifier, catalog.key_of(table))) or sql.SQL("1"),
        )
        counts[table] = 0
        with connection.cursor("rows") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            for (row,) in cursor.execute(query):
                writer.write(f"{',' if counts[table] else ''}\n  {row}")
                counts[table] += 1
        writer.write("]}")
    return counts
