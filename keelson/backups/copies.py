"""Copies: databases that a backup was restored into, beside the service's own, on its server.

A copy stands in the ownership table under its stack and service, with another name than the service's; without an oid while
it is being filled. It is closed to all but administrators, and no job of TimescaleDB runs in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from keelson.backups import programs
from keelson.backups.engines import Contents, Destination
from keelson.backups.filling import Filling
from keelson.backups.folder import Folder
from keelson.backups.roles import Setting
from keelson.endpoint import MAINTENANCE_DATABASE, Endpoint, Reference, resolve
from keelson.errors import BackupError, KeelsonError, LockError, UnfitServerError
from keelson.postgres import catalog, ownership
from keelson.postgres.locks import advisory_lock
from keelson.postgres.names import RoleNames, validate_copy_name
from keelson.postgres.ownership import Owner, server_lock

ROLES = "roles.sql"
ASLEEP = "keelson.asleep"  # a setting of a copy: the jobs of TimescaleDB that run once it is its service's own database
PROVIDERS = {"b": "builtin", "c": "libc", "i": "icu"}
MAJOR = 10_000  # of a version's number: 170011 is 17.11

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that is complete."""

    name: str
    service: str
    bytes: int
    origin: str  # what its comment says: the backup that it was made of


@dataclass(frozen=True, slots=True)
class NewCopy:
    """An empty copy that is about to be filled."""

    endpoint: Endpoint
    contents: Contents

    def fill(self, client: programs.Client, folder: Folder) -> None:
        """Restore all that `folder` holds.

        Raises:
            BackupError: something failed; what is half-restored is the caller's to drop.
        """
        timescale = "timescaledb" in self.contents.facts["extensions"]
        with self._connected() as connection:
            self._make_extensions(connection)
            if timescale:
                connection.execute("SELECT timescaledb_pre_restore()")
        Filling(client, self.endpoint).fill(folder, self.contents.facts)
        with self._connected() as connection:
            if timescale:
                doze(connection)
                connection.execute("SELECT timescaledb_post_restore()")
            for setting in self.contents.facts["database"]["settings"]:
                if not setting["text"].startswith(f"{ASLEEP}="):
                    connection.execute(Setting(**setting).statement(self.endpoint.database))

    def change(self, script: str) -> None:
        """Run SQL in one transaction, then write all tables anew, so that what it replaced is in none of their files.

        Raises:
            BackupError: some of it failed.
        """
        with self._connected() as connection:
            try:
                with connection.transaction():
                    connection.execute("SET LOCAL search_path = public")
                    connection.execute(script.encode())
                connection.execute("VACUUM (FULL, ANALYZE)")
            except psycopg.Error as fault:
                said = (fault.diag.message_primary or str(fault)).splitlines()[0]
                msg = f"the script fails in {self.endpoint.database}, of which nothing is kept: {said}; correct it and try again"
                raise BackupError(msg) from None

    def counted(self, count: Callable[[psycopg.Connection], T]) -> T:
        """Return what `count` finds in the copy."""
        with self._connected() as connection:
            return count(connection)

    def _make_extensions(self, connection: psycopg.Connection) -> None:
        """Make those of public in the versions that were backed up, TimescaleDB as the first; the dump makes the others."""
        facts = self.contents.facts
        for name in sorted(facts["extensions"], key=lambda name: name != "timescaledb"):
            if facts["extension_schemas"][name] == "public":
                query = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA public VERSION {} CASCADE")
                connection.execute(query.format(sql.Identifier(name), sql.Literal(facts["extensions"][name])))

    def _connected(self) -> psycopg.Connection:
        return self.endpoint.connect("keelson restore")


@contextmanager
def new_copy(folder: Folder, contents: Contents, destination: Destination, *, stays: bool = True) -> Iterator[NewCopy]:
    """Make an empty copy; when the block ends without an error it is complete, else it is dropped, and always where it is not to stay.

    Raises:
        IdentifierError: its name is not allowed.
        BackupError: there is such a database, or the server lacks something that the backup needs.
        LockError: another process restores into it.
    """
    name = destination.reference.database
    validate_copy_name(name)
    with administrator(destination.reference) as admin:
        owner = _owner(admin, destination.service)
        with _held(admin, name):
            sweep(admin, owner.stack_id)
            _refuse_missing(admin, folder, contents, destination)
            _intend(admin, name, owner)
            try:
                _create(admin, name, owner, contents, folder)
                yield NewCopy(resolve(destination.reference), contents)
                if stays:
                    with server_lock(admin):
                        ownership.claim(admin, "database", name, owner)
            except BaseException:
                _drop_again(admin, destination.reference, name)
                raise
            if not stays:
                _drop(admin, name)


def copies(admin: psycopg.Connection) -> list[Copy]:
    """Return the copies on a server; `admin` is connected to its maintenance database."""
    if not ownership.is_kept(admin):
        return []
    query = """
        SELECT o.name, o.service, pg_catalog.pg_database_size(d.oid), coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), '')
        FROM keelson.ownership o JOIN pg_catalog.pg_database d ON d.datname = o.name AND d.oid = o.oid
        WHERE o.kind = 'database' AND o.name <> o.service ORDER BY 1
    """
    return [Copy(*row) for row in admin.execute(query).fetchall()]


def discard_copy(reference: Reference, service: str, name: str) -> None:
    """Drop the copy `name` of `service`; `reference` names its server.

    Raises:
        BackupError: it is no copy of this service.
        LockError: it is being filled.
    """
    with administrator(reference) as admin, _held(admin, name), server_lock(admin):
        row = ownership.owned_by(admin, "database", name)
        if row is None or name == service or row.service != service:
            known = ", ".join(copy.name for copy in copies(admin) if copy.service == service) or "none"
            msg = f"{name} is no copy of {service}, so it stays; its copies are: {known}"
            raise BackupError(msg)
        _drop(admin, name)


def drop_copies(admin: psycopg.Connection, stack_id: str, service: str) -> list[str]:
    """Drop the copies of a service whose own database goes, half-restored ones too, and return their names."""
    with server_lock(admin):
        query = """
            SELECT name FROM keelson.ownership
            WHERE kind = 'database' AND stack_id = %s AND service = %s AND name <> service ORDER BY 1
        """
        names = [row[0] for row in admin.execute(query, [stack_id, service]).fetchall()]
        for name in names:
            _drop(admin, name)
    return names


def sweep(admin: psycopg.Connection, stack_id: str) -> None:
    """Drop what killed restores have left."""
    with server_lock(admin):
        query = "SELECT name FROM keelson.ownership WHERE kind = 'database' AND oid IS NULL AND name <> service AND stack_id = %s"
        for (name,) in admin.execute(query, [stack_id]).fetchall():
            with suppress(LockError), _held(admin, name):
                _drop(admin, name)


def administrator(reference: Reference) -> psycopg.Connection:
    """Connect to the maintenance database of a server as its administrator."""
    return resolve(reference.to(database=MAINTENANCE_DATABASE)).connect("keelson restore")


def doze(connection: psycopg.Connection) -> None:
    """Let no job of TimescaleDB run in the connected copy, and keep with it which ones did."""
    if not (names := running_jobs(connection)):
        return
    with connection.transaction():
        connection.execute("UPDATE _timescaledb_config.bgw_job SET scheduled = false WHERE scheduled")
        connection.execute(Setting(None, f"{ASLEEP}={names}").statement(connection.info.dbname))


def running_jobs(connection: psycopg.Connection) -> str:
    """Return the numbers of TimescaleDB's jobs that run in the connected database; nothing where it has none."""
    if not catalog.has_table(connection, "_timescaledb_config.bgw_job"):
        return ""
    query = (
        "SELECT coalesce(string_agg(id::text, ',' ORDER BY id), '') FROM _timescaledb_config.bgw_job WHERE scheduled"
    )
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""


@contextmanager
def _held(admin: psycopg.Connection, name: str) -> Iterator[None]:
    """Hold the lock on the copy `name`, which others do not wait for."""
    key = int.from_bytes(hashlib.sha256(f"copy {name}".encode()).digest()[:7])
    with advisory_lock(admin, key, f"the copy {name}", 0):
        yield


def _owner(admin: psycopg.Connection, service: str) -> Owner:
    row = ownership.owned_by(admin, "database", service) if ownership.is_kept(admin) else None
    if row is None:
        msg = f"the database {service} is not on its server yet, so no copy belongs to it; run `keelson up` first"
        raise BackupError(msg)
    return Owner(row.stack_id, service)


def _refuse_missing(admin: psycopg.Connection, folder: Folder, contents: Contents, destination: Destination) -> None:
    """Refuse what the server lacks; its roles are made, where that was asked for, when all else is there."""
    facts = contents.facts
    refuse_other_server(admin, facts)
    rows = admin.execute("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)", [facts["roles"]]).fetchall()
    missing = set(facts["roles"]) - {row[0] for row in rows}
    if missing and not destination.with_roles:
        msg = (
            f"the backup names roles that the server lacks: {', '.join(sorted(missing))}; "
            "restore with --with-roles, and they are made as they were, without passwords"
        )
        raise BackupError(msg)
    if missing:
        with folder.open(ROLES) as file:
            text = file.read().decode()
        admin.execute(text)


def refuse_other_server(admin: psycopg.Connection, facts: Any) -> None:  # noqa: ANN401 - the manifest's JSON
    """Raise UnfitServerError where a server is older than the backup's, or lacks a version of an extension."""
    backed_up, here = facts["server_version_num"] // MAJOR, catalog.server_version(admin) // MAJOR
    if here < backed_up:
        msg = f"the backup is of PostgreSQL {backed_up} and the server has {here}; restore it to a server of {backed_up} or later"
        raise UnfitServerError(msg)
    query = "SELECT version FROM pg_catalog.pg_available_extension_versions WHERE name = %s"
    for name, version in sorted(facts["extensions"].items()):
        there = [row[0] for row in admin.execute(query, [name]).fetchall()]
        if version not in there:
            has = f"has only {', '.join(sorted(there))}" if there else "lacks it"
            msg = f"the backup needs the extension {name} {version}, and the server {has}; install that version there"
            raise UnfitServerError(msg)
    community = facts["timescaledb_edition"] == "community"
    if community and not catalog.has_timescale_community(admin, facts["extensions"].get("timescaledb", "")):
        msg = "the backup needs TimescaleDB's Community edition, and the server has the Apache edition; restore it to a server that has it"
        raise UnfitServerError(msg)


def _intend(admin: psycopg.Connection, name: str, owner: Owner) -> None:
    with server_lock(admin):
        if catalog.has_database(admin, name):
            msg = f"there is a database {name} already; choose another name, or drop a copy with `keelson restore {owner.service} --discard {name}`"
            raise BackupError(msg)
        ownership.intend(admin, "database", name, owner)


def _create(admin: psycopg.Connection, name: str, owner: Owner, contents: Contents, folder: Folder) -> None:
    with server_lock(admin):
        make_empty(admin, name, RoleNames(owner.service).owner, contents)
        database = sql.Identifier(name)
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        origin = sql.Literal(f"backup {folder.path.name}")
        admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, origin))


def make_empty(admin: psycopg.Connection, name: str, owner: str, contents: Contents) -> None:
    """Make a database as the one was that was backed up, for administrators alone."""
    query = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 CONNECTION LIMIT 0 ENCODING {} {}")
    facts = contents.facts["database"]
    names = sql.Identifier(name), sql.Identifier(owner)
    admin.execute(query.format(*names, sql.Literal(facts["encoding"]), _locale(facts)))


def _locale(facts: Any) -> sql.Composable:  # noqa: ANN401 - the manifest's JSON
    provider = PROVIDERS[facts["provider"]]
    parts = [
        sql.SQL("LOCALE_PROVIDER {}").format(sql.SQL(provider)),
        sql.SQL("LC_COLLATE {}").format(sql.Literal(facts["collate"])),
        sql.SQL("LC_CTYPE {}").format(sql.Literal(facts["ctype"])),
    ]
    if provider != "libc":
        parts.append(sql.SQL(f"{provider.upper()}_LOCALE {{}}").format(sql.Literal(facts["locale"])))
    if facts["icu_rules"]:
        parts.append(sql.SQL("ICU_RULES {}").format(sql.Literal(facts["icu_rules"])))
    return sql.SQL(" ").join(parts)


def _drop_again(admin: psycopg.Connection, reference: Reference, name: str) -> None:
    """Drop what is half-restored, over a new connection where the first is lost; what cannot be dropped the next run drops."""
    with suppress(psycopg.Error, KeelsonError):
        if not admin.closed:
            _drop(admin, name)
            return
        with administrator(reference) as another:
            _drop(another, name)


def _drop(admin: psycopg.Connection, name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    ownership.release(admin, "database", name)
