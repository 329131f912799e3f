"""A copy takes the place of its service's own database: two renames in one transaction, so that either of the two bears the name.

The database of before stays beside it, as a copy like others. No client finds none: the renames hold the databases' locks, for which
new connections wait, while another session ends those that are open. Whoever is killed leaves all as it was, or as it shall be;
what then remains, jobs of TimescaleDB that sleep, the next run does (`finish`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg
from psycopg import sql

from keelson.backups import roles
from keelson.backups.copies import ASLEEP, administrator, copies, discard_copy, doze
from keelson.backups.drills.comparing import compare_all
from keelson.backups.engines import Destination
from keelson.backups.folder import Watch
from keelson.backups.making import ignore, restore
from keelson.backups.roles import Setting
from keelson.backups.store import Backup
from keelson.endpoint import Reference, resolve
from keelson.errors import BackupError
from keelson.postgres import ownership
from keelson.postgres.bounds import Bounds
from keelson.postgres.catalog import has_database
from keelson.postgres.databases import open_access
from keelson.postgres.ownership import Owned, Owner, server_lock
from keelson.postgres.roles import ExtraLogin
from keelson.wording import counted

RESTLESS = "keelson.restless"  # a setting of a database of before, until its jobs sleep
PAUSE = 0.05  # s between two looks at who is still connected
# Materialized, lest the planner ends sessions before it knows whose they are.
_ENDED = """
    WITH theirs AS MATERIALIZED (
        SELECT pid, usename, application_name, backend_type FROM pg_catalog.pg_stat_activity
        WHERE datname = ANY(%s) AND pid <> pg_catalog.pg_backend_pid())
    SELECT usename, application_name FROM theirs WHERE pg_catalog.pg_terminate_backend(pid) AND backend_type = 'client backend'
"""
_GRANTS = """
    SELECT r.rolname, a.privilege_type
    FROM pg_catalog.pg_database d, pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee WHERE d.datname = %s AND a.grantee <> d.datdba ORDER BY 1, 2
"""
_UNLIKE = """
    SELECT 'the prepared transaction ' || gid FROM pg_catalog.pg_prepared_xacts WHERE database = %(name)s
    UNION ALL SELECT 'the replication slot ' || slot_name FROM pg_catalog.pg_replication_slots WHERE database = %(name)s
    UNION ALL SELECT 'the subscription ' || subname FROM pg_catalog.pg_subscription s
        JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = %(name)s
"""


@dataclass(frozen=True, slots=True)
class Rights:
    """What the stack's settings say of those who may connect: further logins, and what each login may take."""

    logins: Mapping[str, ExtraLogin] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Swapped:
    """What came of it: under which name the database of before is kept, and whose connections were ended, by how many each had."""

    kept: str
    ended: Mapping[str, int]


def restore_over(
    backup: Backup, destination: Destination, rights: Rights | None = None, watch: Watch = ignore
) -> Swapped:
    """Restore a backup beside its service's database, hold all of it against what was backed up, and let it take that one's place.

    `destination` names the copy, see `copy_name`. One that a run before had finished is taken as it is, if it is as backed up.

    Raises:
        BackupError: it could not be restored, or something is not as it was backed up; the service's database is as before.
    """
    reference, copy = destination.reference, destination.reference.database
    with administrator(reference) as admin:
        there = {each.name for each in copies(admin) if each.service == destination.service}
        refuse_unlike(admin, reference, destination.service)
    if copy not in there:
        restore(backup, destination, watch)
    with backup.held(), resolve(reference).connect("keelson restore") as connection:
        manifest = backup.manifest
        found = compare_all(connection, manifest.contents, backup.folder(), roles=False).differences
    if found:
        discard_copy(reference, destination.service, copy)
        msg = f"the restored {destination.service} has {counted(len(found), 'difference')} to its backup {backup.id}: {found[0]}; use another backup"
        raise BackupError(msg)
    return swap_in(reference, destination.service, copy, rights)


def copy_name(service: str, backup: Backup) -> str:
    """Return the name of the copy that is to take a service's place."""
    return f"{service}_of_{backup.id.lower()}"


def swap_in(reference: Reference, service: str, copy: str, rights: Rights | None = None) -> Swapped:
    """Let the complete copy `copy` be the database of `service`; `reference` names their server.

    Owner, grants, settings, limit and comment of the database are then as they were, and so are TimescaleDB's jobs as far as the copy
    has them; further logins have their rights in it.

    Raises:
        BackupError: it is no copy of this service, or the service's database has what no backup brings back; nothing has changed.
    """
    rights = rights or Rights()
    with administrator(reference) as admin, server_lock(admin):
        owner = _owner(admin, service, copy)
        refuse_unlike(admin, reference, service)
        open_access(admin, service, rights.logins, bounds=rights.bounds, database=copy)
        kept = _free_name(admin, service, datetime.now(UTC))
        with _ending(reference, [service, copy]) as ended, _told(service), admin.transaction():
            _exchange(admin, owner, copy, kept)
    finish(reference, service)
    return Swapped(kept, ended)


def finish(reference: Reference, service: str) -> list[str]:
    """Do what a swap that was killed has left to do; return what was done, in a sentence each."""
    with administrator(reference) as admin, server_lock(admin):
        query = (
            "SELECT name FROM keelson.ownership WHERE kind = 'database' AND service = %s AND name <> service ORDER BY 1"
        )
        every = [row[0] for row in admin.execute(query, [service]).fetchall()] if ownership.is_kept(admin) else []
        shut = [name for name in every if _value(admin, name, RESTLESS)]
        for name in shut:
            _run(admin, "ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", name)
            with resolve(reference.to(database=name)).connect("keelson restore") as connection:
                doze(connection)
            _run(admin, "ALTER DATABASE {} RESET {}.{}", name, *RESTLESS.split("."))
        woken = _wake(reference, service) if _value(admin, service, ASLEEP) else 0
    return [f"{name} is kept" for name in shut] + ([f"{woken} jobs of TimescaleDB run again"] if woken else [])


def _free_name(admin: psycopg.Connection, service: str, now: datetime) -> str:
    """Return the name under which a service's database is kept that another one takes the place of."""
    while has_database(admin, name := f"{service}_before_{now:%Y%m%d_%H%M%S}"):
        now += timedelta(seconds=1)
    return name


def refuse_unlike(admin: psycopg.Connection, reference: Reference, service: str) -> None:
    """Raise BackupError where the service's database has what no backup brings back, or what keeps it from being renamed."""
    found = [row[0] for row in admin.execute(_UNLIKE, {"name": service}).fetchall()]
    with resolve(reference.to(database=service)).connect("keelson restore") as live:
        rows = live.execute("SELECT 'the publication ' || pubname FROM pg_catalog.pg_publication").fetchall()
    if found := [*found, *(row[0] for row in rows)]:
        msg = f"the database {service} has {', '.join(found)}, which no restore brings back; end or drop that first, or restore with --into"
        raise BackupError(msg)


def _owner(admin: psycopg.Connection, service: str, copy: str) -> Owner:
    live, other = (_owned(admin, name) for name in (service, copy))
    if live is None or other is None or other.service != service or copy == service:
        msg = f"{copy} is no complete copy of {service}, so it cannot take its place; `keelson restore {service} --list` names the copies"
        raise BackupError(msg)
    return Owner(live.stack_id, service)


def _owned(admin: psycopg.Connection, name: str) -> Owned | None:
    found = ownership.owned_by(admin, "database", name) if ownership.is_kept(admin) else None
    return found if found and found.oid == ownership.object_oid(admin, "database", name) else None


def _exchange(admin: psycopg.Connection, owner: Owner, copy: str, kept: str) -> None:
    service = owner.service
    _run(admin, "ALTER DATABASE {} RENAME TO {}", service, kept)
    _run(admin, "ALTER DATABASE {} RENAME TO {}", copy, service)
    _take_over(admin, kept, service)
    _close(admin, kept)
    ownership.release(admin, "database", copy)
    for name in (service, kept):
        ownership.claim(admin, "database", name, owner)


def _take_over(admin: psycopg.Connection, kept: str, service: str) -> None:
    """Make the new database be to others what the old one is; the names of its jobs that sleep stay."""
    asleep = _value(admin, service, ASLEEP)
    for role in {setting.role for setting in _settings(admin, service)}:
        where = sql.SQL("ROLE {} IN ").format(sql.Identifier(role)) if role else sql.SQL("")
        admin.execute(sql.SQL("ALTER {}DATABASE {} RESET ALL").format(where, sql.Identifier(service)))
    for setting in _settings(admin, kept):
        admin.execute(setting.statement(service))
    if asleep:
        admin.execute(Setting(None, f"{ASLEEP}={asleep}").statement(service))
    query = """
        SELECT pg_catalog.pg_get_userbyid(datdba), datconnlimit, pg_catalog.shobj_description(oid, 'pg_database')
        FROM pg_catalog.pg_database WHERE datname = %s
    """
    owner, limit, comment = admin.execute(query, [kept]).fetchone() or ("", -1, None)
    _run(admin, "ALTER DATABASE {} OWNER TO {}", service, owner)
    admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(sql.Identifier(service), sql.Literal(limit)))
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(service), sql.Literal(comment)))
    _revoke_all(admin, service)
    for grantee, privilege in admin.execute(_GRANTS, [kept]).fetchall():
        query_of = sql.SQL("GRANT {} ON DATABASE {} TO {}").format
        admin.execute(query_of(sql.SQL(privilege), sql.Identifier(service), _role(grantee)))


def _close(admin: psycopg.Connection, kept: str) -> None:
    """Shut the database of before: nobody connects until its jobs sleep, and then administrators alone."""
    _revoke_all(admin, kept)
    _run(admin, "ALTER DATABASE {} WITH CONNECTION LIMIT 0 ALLOW_CONNECTIONS false", kept)
    admin.execute(Setting(None, f"{RESTLESS}=yes").statement(kept))
    comment = sql.Literal(f"in place until {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(kept), comment))


def _revoke_all(admin: psycopg.Connection, name: str) -> None:
    for grantee, _ in admin.execute(_GRANTS, [name]).fetchall():
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(sql.Identifier(name), _role(grantee)))


def _role(name: str | None) -> sql.Composable:
    return sql.Identifier(name) if name else sql.SQL("PUBLIC")


def _settings(admin: psycopg.Connection, name: str) -> list[Setting]:
    return [
        setting
        for setting in roles.settings_in(admin, name)
        if setting.text.partition("=")[0] not in {ASLEEP, RESTLESS}
    ]


def _value(admin: psycopg.Connection, name: str, key: str) -> str:
    """Return a setting of a database; nothing where it has none."""
    found = (setting.text.partition("=") for setting in roles.settings_in(admin, name) if setting.role is None)
    return next((value for each, _, value in found if each == key), "")


def _wake(reference: Reference, service: str) -> int:
    """Let the jobs run that slept while the database was a copy; those stay asleep that slept in what was backed up."""
    with resolve(reference.to(database=service)).connect("keelson restore") as live:
        with live.transaction():
            query = """
                UPDATE _timescaledb_config.bgw_job SET scheduled = true
                WHERE id = ANY (pg_catalog.string_to_array(pg_catalog.current_setting(%s, true), ',')::int[])
            """
            woken = live.execute(query, [ASLEEP]).rowcount
            _run(live, "ALTER DATABASE {} RESET {}.{}", service, *ASLEEP.split("."))
        live.execute("SELECT _timescaledb_functions.restart_background_workers()")
    return woken


@contextmanager
def _ending(reference: Reference, databases: list[str]) -> Iterator[dict[str, int]]:
    """End the sessions of databases while the block runs; give whose they were, by how many."""
    ended: dict[str, int] = {}
    done = threading.Event()

    def end() -> None:
        with suppress(psycopg.Error):
            while not done.is_set():
                for user, program in watcher.execute(_ENDED, [databases]).fetchall():
                    who = f"{user} ({program})" if program else str(user)
                    ended[who] = ended.get(who, 0) + 1
                done.wait(PAUSE)

    with administrator(reference) as watcher:
        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        try:
            yield ended
        finally:
            done.set()
            thread.join()


@contextmanager
def _told(service: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable) as fault:
        said = fault.diag.message_detail or fault.diag.message_primary
        msg = f"the connections of {service} could not be ended in time ({said}), so it stays as it was; end them and run this again"
        raise BackupError(msg) from None


def _run(connection: psycopg.Connection, query: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(query).format(*map(sql.Identifier, names)))
