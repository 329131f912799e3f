"""What a restored database has otherwise than it was backed up, in one sentence each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import psycopg

from keelson.backups import catalogs
from keelson.backups.engines import Contents
from keelson.backups.folder import Folder
from keelson.backups.rows import digest_all, kept_hashes
from keelson.migrations import ledger
from keelson.postgres.snapshot import Difference, Snapshot, compare, read
from keelson.wording import counted

LONGEST = 60  # characters of a value in a sentence
OLDER = "the backup is of a version of Keelson that kept no {}, so they are not compared"
_BROKEN = """
    SELECT pg_catalog.format('the index %s is not valid', i.indexrelid::regclass) FROM pg_catalog.pg_index i
    WHERE NOT (i.indisvalid AND i.indisready)
"""
_COUNTED = """
    SELECT (SELECT count(*) FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class t ON t.oid = c.conrelid WHERE t.oid >= 16384 AND c.contype <> 'n'),
        (SELECT count(*) FROM pg_catalog.pg_index WHERE indrelid >= 16384)
"""  # FirstNormalObjectId


@dataclass(frozen=True)
class Comparison:
    """What came of it; see `Drill` for what each is."""

    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)


def compare_all(
    connection: psycopg.Connection,
    contents: Contents,
    folder: Folder,
    without: Collection[str] = (),
    *,
    roles: bool = True,
) -> Comparison:
    """Compare the connected database with its backup.

    Args:
        connection: to the restored database, as the administrator; its settings are changed.
        contents: what the manifest says.
        folder: the backup's files.
        without: roles that are told to be missing already.
        roles: whether they are compared too; on the service's own server they are the stack's, whatever they were then.
    """
    found = Comparison()
    _compare_facts(connection, contents, found)
    expected = catalogs.stored(folder)
    if expected is not None and not roles:
        expected = expected.without(kinds=("role",))
    _compare_catalog(connection, contents, expected, without, found)
    found.differences.extend(row[0] for row in connection.execute(_BROKEN).fetchall())
    row = connection.execute(_COUNTED).fetchone() or (0, 0)
    found.compared.update({"constraints": row[0], "indexes": row[1]})
    _compare_rows(connection, contents, folder, found)
    return found


def _compare_rows(connection: psycopg.Connection, contents: Contents, folder: Folder, found: Comparison) -> None:
    how, known = kept_hashes(contents.facts, folder)
    here = digest_all(connection, how)
    hashes = known or {}
    if known is None:
        found.notes.append(OLDER.format("hashes of rows"))
    for name in sorted({*contents.counts, *here.counts}):
        was, count = contents.counts.get(name), here.counts.get(name)
        if was != count:
            has, should = ("no table" if number is None else counted(number, "row") for number in (count, was))
            found.differences.append(f"{name} has {has} in place of {should}")
        elif name in hashes and hashes[name] != here.hashes.get(name):
            found.differences.append(f"{name} has other rows than were backed up, {counted(was or 0, 'row')} as many")
    found.compared.update(
        tables=len(contents.counts), rows=sum(contents.counts.values()), tables_by_content=len(hashes)
    )


def _compare_facts(connection: psycopg.Connection, contents: Contents, found: Comparison) -> None:
    facts = contents.facts
    version = max((entry.version for entry in ledger.read_entries(connection)), default=None)
    if version != facts["schema_version"]:
        found.differences.append(f"the schema is of version {version} in place of {facts['schema_version']}")
    rows = connection.execute("SELECT extname, extversion FROM pg_catalog.pg_extension").fetchall()
    extensions: dict[str, str] = dict(rows)
    for name, was in facts["extensions"].items():
        if extensions.get(name) != was:
            found.differences.append(
                f"the extension {name} is of version {extensions.get(name, 'none')} in place of {was}"
            )
    if "sequences" in facts:
        behind = catalogs.sequences_behind(facts["sequences"], catalogs.sequences(connection))
        found.differences.extend(behind)
    else:
        found.notes.append(OLDER.format("places of sequences"))
    found.compared.update(extensions=len(facts["extensions"]), sequences=len(facts.get("sequences", ())))


def _compare_catalog(
    connection: psycopg.Connection,
    contents: Contents,
    expected: Snapshot | None,
    without: Collection[str],
    found: Comparison,
) -> None:
    if expected is None:
        reason = contents.facts.get("catalog_fault") or "another version of Keelson made the backup"
        found.notes.append(f"schema, grants and roles are not compared one by one: {reason}")
        return
    roles = [key.name for key in expected.objects if key.kind == "role"]
    here = read(connection, roles=roles)
    differences = compare(_comparable(expected), _comparable(here))
    found.differences.extend(told(each) for each in differences if not _is_explained(each, without))
    found.compared.update(objects=len(expected.objects), roles=len(roles))


def _comparable(catalog: Snapshot) -> Snapshot:
    """Leave out what a dump does not hold by design, the rights to connect, which `keelson up` gives at last."""
    return catalog.without(kinds=("database",))


def _is_explained(difference: Difference, without: Collection[str]) -> bool:
    """Say whether a difference is told already, or no loss."""
    if difference.fact == "scheduled":  # no job of TimescaleDB runs in a copy
        return True
    if isinstance(difference.expected, Mapping) and difference.expected.get("valid") == "no":
        return True  # what a failed CREATE INDEX CONCURRENTLY left, which pg_dump leaves out
    words = {difference.name, *difference.fact.split()}
    return difference.kind == "role" and bool(words & set(without))


def told(difference: Difference) -> str:
    """Return a difference as a sentence."""
    what = " ".join(_words(difference))
    if difference.fact:
        was, is_ = (_short(value) for value in (difference.expected, difference.found))
        return f"{what}: {difference.fact} is {is_} in place of {was}"
    if difference.found is None:
        return f"{what} is missing"
    return f"{what} is there, and was not backed up" if difference.expected is None else f"{what} is another one"


def _words(difference: Difference) -> Iterator[str]:
    yield "the"
    yield difference.kind
    yield difference.name
    if difference.part:
        yield f"({difference.part})"


def _short(value: object) -> str:
    text = "nothing" if value is None else " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
