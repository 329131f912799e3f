"""What the ledgers of other tools say: which files are applied, since when, and whether they are as they were."""

from __future__ import annotations

import hashlib
import io
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from keelson.errors import MigrationError
from keelson.migrations.adoption.tables import Table
from keelson.migrations.files import MigrationFile
from keelson.migrations.formats import Location, alembic, flyway
from keelson.migrations.parts import reading

_NUMBER = re.compile(r"[VUR]?(?P<number>[0-9]+(?:-[0-9]+)*)")
_NEVER = (sys.maxsize,)  # above all versions
_STEP = "finish or take back what it left by hand, correct the entry with {tool}, and import again"


@dataclass(frozen=True, slots=True)
class Applied:
    """A file that another tool has applied."""

    file: MigrationFile
    at: datetime | None = None
    is_changed: bool = False


@dataclass(slots=True)
class Said:
    """What a ledger says.

    Attributes:
        applied: The files that are applied.
        without_file: Its other entries, in words.
    """

    applied: list[Applied] = field(default_factory=list)
    without_file: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Question:
    """A ledger, and the files that it is asked about."""

    connection: psycopg.Connection
    table: Table
    files: Sequence[MigrationFile]
    location: Location
    root: Path | None

    def rows(self, columns: str, order: str) -> list[dict[str, Any]]:
        """Return rows of the table."""
        names = [sql.Identifier(name) for name in columns.split()]
        query = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
            sql.SQL(", ").join(names), self.table.identifier, sql.Identifier(order)
        )
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()

    def refuse(self, what: str) -> NoReturn:
        """Raise MigrationError about an entry that is no good."""
        msg = f"{self.table}: {what}; {_STEP.format(tool=self.table.tool)}"
        raise MigrationError(msg)


def read(question: Question) -> Said:
    """Return what a ledger says.

    Raises:
        MigrationError: an entry is dirty or failed.
    """
    return _READERS[question.table.tool](question)


def number_of(file: MigrationFile) -> int | None:
    """Return the number that a file's name begins with, in the way of most tools."""
    match = _NUMBER.match(file.name.rpartition("/")[2])
    return int(match["number"].replace("-", "")) if match else None


def _by_number(question: Question, entries: Iterable[tuple[int, datetime | None]]) -> Said:
    known = {number_of(file): file for file in question.files if not file.repeatable}
    said = Said()
    for number, at in entries:
        if number in known:
            said.applied.append(Applied(known[number], at))
        else:
            said.without_file.append(f"version {number}")
    return said


def _up_to(question: Question, version: int | None) -> Said:
    """Return all files up to a version, where the ledger has no more than the last one."""
    if version is None:
        return Said()
    numbers = [(number, file) for file in question.files if (number := number_of(file)) is not None]
    said = Said([Applied(file) for number, file in numbers if number <= version])
    if all(number != version for number, _ in numbers):
        said.without_file.append(f"version {version}")
    return said


def _golang_migrate(question: Question) -> Said:
    rows = question.rows("version dirty", "version")
    if rows and rows[-1]["dirty"]:
        question.refuse(f"version {rows[-1]['version']} is dirty: it failed half-way")
    return _up_to(question, rows[-1]["version"] if rows else None)


def _tern(question: Question) -> Said:
    rows = question.rows("version", "version")
    return _up_to(question, rows[-1]["version"] if rows and rows[-1]["version"] else None)


def _dbmate(question: Question) -> Said:
    return _by_number(
        question, ((_whole(question, row["version"]), None) for row in question.rows("version", "version"))
    )


def _diesel(question: Question) -> Said:
    rows = question.rows("version run_on", "version")
    return _by_number(question, ((_whole(question, row["version"]), row["run_on"]) for row in rows))


def _whole(question: Question, version: object) -> int:
    text = str(version).replace("-", "")
    if not text.isdecimal():
        question.refuse(f"the version {version!r} is no number")
    return int(text)


def _goose(question: Question) -> Said:
    last = {row["version_id"]: row for row in question.rows("id version_id is_applied tstamp", "id")}
    applied = [(number, row["tstamp"]) for number, row in last.items() if row["is_applied"] and number]
    return _by_number(question, sorted(applied))


def _documents(question: Question) -> Said:
    rows = question.rows("version applied_at", "version")
    return _by_number(question, ((row["version"], row["applied_at"]) for row in rows))


def _sqlx(question: Question) -> Said:
    rows = question.rows("version installed_on success checksum", "version")
    for row in rows:
        if not row["success"]:
            question.refuse(f"version {row['version']} failed")
    said = _by_number(question, ((row["version"], row["installed_on"]) for row in rows))
    checksums = {row["version"]: bytes(row["checksum"]) for row in rows}
    return _compared(said, lambda file: hashlib.sha384(_bytes(file)).digest() == checksums[number_of(file) or 0])


def _prisma(question: Question) -> Said:
    rows = question.rows("migration_name checksum started_at finished_at rolled_back_at", "started_at")
    found = {file.name: file for file in question.files}
    said, checksums = Said(), {}
    for row in rows:
        name = row["migration_name"]
        if row["rolled_back_at"]:
            continue
        if not row["finished_at"]:
            question.refuse(f"{name} failed")
        if name in found:
            said.applied.append(Applied(found[name], row["finished_at"]))
            checksums[name] = row["checksum"]
        else:
            said.without_file.append(name)
    return _compared(said, lambda file: checksums[file.name] in _prisma_checksums(file))


def _prisma_checksums(file: MigrationFile) -> set[str]:
    """Return what Prisma takes for the same: it was written down on a machine with other line ends, maybe."""
    data = _bytes(file)
    plain = data.replace(b"\r\n", b"\n")
    return {hashlib.sha256(text).hexdigest() for text in (data, plain, plain.replace(b"\n", b"\r\n"))}


def _alembic(question: Question) -> Said:
    heads = [row["version_num"] for row in question.rows("version_num", "version_num")]
    below = alembic.parents(question.location.listed(question.root))
    applied: set[str] = set()
    left = [head for head in heads if head in below]
    while left:
        revision = left.pop()
        if revision not in applied:
            applied.add(revision)
            left += below[revision]
    said = Said([Applied(file) for file in question.files if file.name in applied])
    said.without_file += [f"revision {head}" for head in heads if head not in below]
    return said


def _flyway(question: Question) -> Said:
    """Read Flyway's rows: the last one of a version or description counts; files up to a baseline are as if applied."""
    said, known = Said(), {_key_of(file): file for file in question.files}
    checksums: dict[str, int] = {}
    for key, row in _last_of_flyway(question).items():
        file = known.get(key)
        if row["type"] == "BASELINE":
            older = (
                item for item in question.files if (flyway.version_of(item.name) or _NEVER) <= _key(row["version"])
            )
            said.applied += [Applied(item, row["installed_on"]) for item in older]
        elif file is None:
            said.without_file.append(row["script"])
        else:
            said.applied.append(Applied(file, row["installed_on"]))
            if row["checksum"] is not None:
                checksums[file.name] = row["checksum"]
    return _compared(said, lambda file: file.name not in checksums or flyway_checksum(file) == checksums[file.name])


def _last_of_flyway(question: Question) -> dict[object, dict[str, Any]]:
    """Return the last row of each version or description that is not of an undo, a deletion or a schema."""
    last = {}
    columns = "installed_rank version description type script checksum installed_on success"
    for row in question.rows(columns, "installed_rank"):
        if not row["success"]:
            question.refuse(f"{row['script']} failed")
        last[_key(row["version"]) if row["version"] else row["description"]] = row
    gone = ("SCHEMA", "DELETE", "UNDO")
    return {key: row for key, row in last.items() if not row["type"].startswith(gone)}


def flyway_checksum(file: MigrationFile) -> int:
    """Return Flyway's checksum: CRC-32 of the lines without their ends, as a signed number."""
    text = file.up.text() if file.repeatable else _bytes(file).decode("utf-8-sig", errors="replace")
    total = 0
    for line in io.StringIO(text, newline=None):
        total = zlib.crc32(line.removesuffix("\n").encode(), total)
    return total - (1 << 32) if total >= 1 << 31 else total


def _key(version: str) -> tuple[int, ...]:
    return flyway.version_of(f"V{version}__x.sql") or ()


def _key_of(file: MigrationFile) -> object:
    """Return what Flyway knows a file by: its version, or the description of a repeatable one."""
    number = number_of(file)
    return flyway.version_of(file.name) or (file.description if number is None else (number,))


def _compared(said: Said, is_same: Callable[[MigrationFile], bool]) -> Said:
    said.applied = [Applied(one.file, one.at, is_changed=not is_same(one.file)) for one in said.applied]
    return said


def _bytes(file: MigrationFile) -> bytes:
    with reading(file.source):
        return file.up.path.read_bytes()


_READERS: Mapping[str, Callable[[Question], Said]] = {
    "flyway": _flyway,
    "golang-migrate": _golang_migrate,
    "dbmate": _dbmate,
    "goose": _goose,
    "alembic": _alembic,
    "prisma": _prisma,
    "diesel": _diesel,
    "sqlx": _sqlx,
    "tern": _tern,
    "documents": _documents,
}
