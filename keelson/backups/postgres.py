"""Backups of one PostgreSQL database: a dump, the roles that it names, and rows per table counted at the same moment.

| file | holds |
|---|---|
| data.dump, data-2.dump | pg_dump's custom format, compressed with zstd; a large database alone has the second, see `dumping` |
| roles.sql | roles, memberships and role settings that the database names; no password |
| catalog.json | the catalog as `keelson.postgres.snapshot` reads it, for a drill to compare |
| digests.json | of an encrypted backup alone, whose manifest is not: the hashes of each table's rows; hashes.json of earlier versions |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import psycopg

from keelson import migrations
from keelson.backups import catalogs, dumping, programs, roles, rows
from keelson.backups.asking import Asking
from keelson.backups.dumping import Dumping
from keelson.backups.engines import Contents, Counts, Destination, refuse_difference
from keelson.backups.folder import Folder
from keelson.backups.manifest import TABLES_APART
from keelson.backups.rows import count_all
from keelson.backups.threads import at_once
from keelson.endpoint import Endpoint, Reference, resolve
from keelson.errors import BackupError, UnreachableError
from keelson.migrations import ledger
from keelson.postgres import backup_login, catalog
from keelson.postgres.names import BACKUP
from keelson.target import target

ROLES = "roles.sql"
AT_ONCE = 5  # threads: two dumps that are written and read back, and the rows that the server counts
MAJOR = 10_000  # of a version's number: 170011 is 17.11
SHARE = 10  # a first dump is guessed to need a tenth of what a database holds beside its catalogs
CATALOGS = 8_000_000  # bytes of an empty database
PATIENCE = 20.0  # s that a server may need to answer


class PostgresEngine:
    """See `keelson.backups.engines.Engine` for what each method is for; `place` is the target whose programs are run."""

    def __init__(self, place: str) -> None:
        self._client = target(place).client

    def expect(self, reference: Reference) -> int:
        """Return a tenth of what the database holds; raises BackupError where pg_dump is older than the server."""
        with _sentences(reference), resolve(reference).connect("keelson backup", patience=PATIENCE) as connection:
            self._refuse_old_program(reference, connection)
            return max(0, (catalog.database_size(connection, reference.database) or 0) - CATALOGS) // SHARE

    def back_up(self, reference: Reference, folder: Folder) -> tuple[Contents, Counts]:
        """Dump the database, count its rows in the snapshot of the dump, and read back what is written of it."""
        with (
            _sentences(reference),
            _reader(reference) as (endpoint, connection),
            _snapshot(connection) as snapshot,
        ):
            version = self._refuse_old_program(reference, connection)
            named, belonging = roles.named_roles(connection)
            with folder.create(ROLES) as file:
                file.write(roles.roles_sql(connection, belonging).encode())
            facts = _facts(connection) | {"pg_dump_version": version, "roles": named}
            facts |= catalogs.write(connection, belonging, folder)
            facts[TABLES_APART] = dumping.apart(facts["table_bytes"])
            dump, asking = Dumping(self._client, endpoint, snapshot), Asking(connection)

            def end() -> None:
                dump.group.end()
                asking.end()

            with at_once(AT_ONCE, "backup", end) as threads:
                counting = threads.submit(asking.ask, rows.digest_all)
                streams = dump.write(folder, facts[TABLES_APART], threads)
                threads.settle([counting, *streams])  # the first says why there is no snapshot any more
        found = counting.result()
        facts |= rows.keep_hashes(found.hashes, folder)
        contents = Contents(found.counts, facts | {"extension_rows": found.of_extensions})
        return contents, self._compared(folder, contents, dumping.total(streams))

    def read_back(self, folder: Folder, contents: Contents) -> Counts:
        """Let pg_restore read all of the dump, and count the rows in what it writes."""
        return self._compared(folder, contents, dumping.read_all(self._client, folder))

    def restore(self, folder: Folder, contents: Contents, destination: Destination) -> Counts:
        """Make the new database and fill it; it is closed to the application, and no job runs in it."""
        from keelson.backups.copies import new_copy  # noqa: PLC0415 - backups need none of it

        with _sentences(destination.reference), new_copy(folder, contents, destination) as copy:
            copy.fill(self._client, folder)
            counts, _ = copy.counted(count_all)
            refuse_difference(contents.counts, counts, f"the database {destination.reference.database}")
            if destination.script:
                copy.change(destination.script)
        return counts

    def discard(self, destination: Destination) -> None:
        """Drop the new database."""
        from keelson.backups.copies import discard_copy  # noqa: PLC0415 - backups need none of it

        with _sentences(destination.reference):
            discard_copy(destination.reference, destination.service, destination.reference.database)

    def _refuse_old_program(self, reference: Reference, connection: psycopg.Connection) -> str:
        """Return pg_dump's version; raises BackupError when it is older than the server that it would read."""
        major, version = programs.version_of(self._client, "pg_dump")
        if major < (server := catalog.server_version(connection) // MAJOR):
            msg = f"pg_dump {version} cannot back up {reference.database}: its server is PostgreSQL {server}; install the client programs of {server}"
            raise BackupError(msg)
        return version

    def _compared(self, folder: Folder, contents: Contents, counted: Counts) -> Counts:
        """Read the other files; compare the rows of extensions, and return the others."""
        for name in {ROLES, catalogs.NAME, rows.NAME, rows.EARLIER} & folder.names:
            with folder.open(name):
                pass
        expected: Mapping[str, int] = contents.facts["extension_rows"]
        found = {name: count for name, count in counted.items() if name in expected}
        refuse_difference(expected, found, f"the dump {folder.path}")
        return {name: count for name, count in counted.items() if name not in expected}


@contextmanager
def _sentences(reference: Reference) -> Iterator[None]:
    """Turn what the server may say into one sentence."""
    try:
        yield
    except psycopg.Error as fault:
        said = (fault.diag.message_primary or str(fault) or type(fault).__name__).splitlines()[0]
        msg = f"the server of {reference.database} refused: {said} (SQLSTATE {fault.sqlstate}); see `keelson logs {reference.server}` and try again"
        raise BackupError(msg) from None


@contextmanager
def _reader(reference: Reference) -> Iterator[tuple[Endpoint, psycopg.Connection]]:
    """Connect as the login for backups, or as the administrator where a dump of that login's would lack something."""
    endpoint, connection = _as_backup_login(reference) or _as(reference)
    with connection:
        yield endpoint, connection


def _as_backup_login(reference: Reference) -> tuple[Endpoint, psycopg.Connection] | None:
    """Connect as the login for backups; None where it sees too little, or is not there: no `up` of this release was yet."""
    try:
        endpoint, connection = _as(reference.to(role=BACKUP))
    except UnreachableError:
        return None
    if backup_login.sees_all(connection):
        return endpoint, connection
    connection.close()
    return None


def _as(reference: Reference) -> tuple[Endpoint, psycopg.Connection]:
    endpoint = resolve(reference)
    return endpoint, endpoint.connect("keelson backup", patience=PATIENCE)


@contextmanager
def _snapshot(connection: psycopg.Connection) -> Iterator[str]:
    """Begin a transaction that sees one moment, and give its name to others."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", [dumping.LOCK_WAIT])
        row = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        yield row[0] if row else ""


def _facts(connection: psycopg.Connection) -> dict[str, Any]:
    applied = ledger.read_entries(connection)
    query = "SELECT extname, extversion, extnamespace::regnamespace::text FROM pg_catalog.pg_extension ORDER BY 1"
    extensions = connection.execute(query).fetchall()
    return {
        "server_version": connection.info.parameter_status("server_version"),
        "server_version_num": catalog.server_version(connection),
        "extensions": {name: version for name, version, _ in extensions},
        "extension_schemas": {name: schema for name, _, schema in extensions},
        "timescaledb_edition": catalog.timescale_edition(connection),
        "schema_version": max((entry.version for entry in applied), default=None),
        "ledger": migrations.read_ledger(connection),
        "database": _database(connection),
        "size": catalog.database_size(connection, connection.info.dbname),
        "table_bytes": rows.large_tables(connection),
        "sequences": catalogs.sequences(connection),  # before the dump, which may find them further on
    }


def _database(connection: psycopg.Connection) -> dict[str, Any]:
    """Return what a new database needs to be like this one, and pg_dump does not write for another name."""
    query = """
        SELECT pg_catalog.pg_encoding_to_char(encoding), datlocprovider::text, datcollate, datctype, datlocale, daticurules,
            pg_catalog.shobj_description(oid, 'pg_database'), pg_catalog.pg_get_userbyid(datdba)
        FROM pg_catalog.pg_database WHERE datname = current_database()
    """
    names = ("encoding", "provider", "collate", "ctype", "locale", "icu_rules", "comment", "owner")
    row = connection.execute(query).fetchone() or ()
    settings = [asdict(setting) for setting in roles.settings_of(connection)]
    return dict(zip(names, row, strict=True)) | {"settings": settings}
