"""What a live database's schema has beside, or lacks of, what its applied migrations make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg

from keelson.errors import MigrationError, SettingsError
from keelson.migrations.files import MigrationFile
from keelson.migrations.ledger import read_entries
from keelson.migrations.scratch import Scratch
from keelson.migrations.standing import standing
from keelson.migrations.subject import Subject
from keelson.postgres.catalog import server_version, timescale_edition
from keelson.postgres.snapshot import Difference, Key, Snapshot, compare
from keelson.timescale.policies import OURS

_BY_EDITION = ("job ", "compression", "hypertable", "continuous aggregate")


@dataclass(frozen=True, slots=True)
class Applied:
    """What the ledger of a live database says: the files that made it, and what the user should know of them."""

    files: tuple[MigrationFile, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs in a live database, in comparison with the catalog `expected`, and what could not be compared."""

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def find_drift(live: psycopg.Connection, subject: Subject, server: Scratch) -> Drift:
    """Compare a live database with what its applied migrations make in a scratch database.

    Args:
        live: Any login's that may read the ledger; nothing is written.
        subject: The database's files.
        server: Of the live server's major version.

    Raises:
        MigrationError: the ledger names files that are missing, or a file fails.
        SettingsError: the scratch server is of another major version.
    """
    refuse_other_version(live, server)
    applied = applied_files(live, subject.files)
    found = subject.look(live)
    with server.cleaning_up():
        database = subject.make(server, applied.files)
        subject.finish(database)
        with database.as_admin() as connection:
            edition, here = timescale_edition(live), timescale_edition(connection)
            expected = subject.look(connection, server)
    if edition == here:
        return Drift(compare(_without_ends(expected), _without_ends(found)), applied.notes)
    note = f"what timescale.yaml declares was not compared: the database has TimescaleDB's edition {edition}, the scratch server {here}"
    owner = subject.origin.owner or ""
    both = (_without_editions(_without_ends(each), owner) for each in (expected, found))
    return Drift(compare(*both), (*applied.notes, note))


def applied_files(live: psycopg.Connection, files: Sequence[MigrationFile]) -> Applied:
    """Return the files that the ledger of a database names, in the order in which they were applied.

    Raises:
        MigrationError: a file is missing.
    """
    found = {status.file: status for status in standing(files, read_entries(live))}
    for name, status in found.items():
        if status.state == "missing":
            msg = f"{name} was applied to {live.info.dbname!r}, but its file is missing, so nobody knows what it made; put it back"
            raise MigrationError(msg)
    applied = [(status.applied_at, file) for file in files if (status := found[file.name]).applied_at is not None]
    applied.sort(key=lambda entry: (entry[1].repeatable, entry[0]))
    changed = [file for _, file in applied if found[file.name].state != "applied"]
    notes = (f"{file.source} was changed after it was applied; compared is what it says now" for file in changed)
    return Applied(tuple(file for _, file in applied), tuple(notes))


def refuse_other_version(live: psycopg.Connection, server: Scratch) -> None:
    """Raise SettingsError where the two servers would write the same schema differently."""
    major = server_version(live) // 10_000
    if major != server.major:
        msg = (
            f"the database runs on PostgreSQL {major} and the scratch server is {server.major}, which may write the same schema "
            f"otherwise; name a server of version {major} with --scratch"
        )
        raise SettingsError(msg)


def _without_ends(snapshot: Snapshot) -> Snapshot:
    """Leave out until when passwords are good: a rotation says that, and no migration."""
    objects = {
        key: {
            label: {name: value for name, value in facts.items() if name != "valid until"}
            for label, facts in parts.items()
        }
        if key.kind == "role"
        else parts
        for key, parts in snapshot.objects.items()
    }
    return replace(snapshot, objects=objects)


def _without_editions(snapshot: Snapshot, owner: str) -> Snapshot:
    """Leave out what one edition of TimescaleDB has and the other has not, or does by other means."""
    ours = [key for key, parts in snapshot.objects.items() if parts.get("", {}).get("comment", "").startswith(OURS)]
    objects = {
        key: {label: facts for label, facts in parts.items() if not label.startswith(_BY_EDITION)}
        for key, parts in snapshot.without(*ours, kinds=("job",)).objects.items()
    }
    if role := objects.get(Key("role", owner)):  # jobs of the Community edition run as the owner
        role[""] = {name: value for name, value in role[""].items() if name != "login"}
    return replace(snapshot, objects=objects)
