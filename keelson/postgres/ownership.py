"""Who owns which role and database of a server: a table in its maintenance database.

A row is written before a database is made (without an oid) and completed after, so that work that a kill cut off is
recognised. Only what stands here under a stack's own id is ever changed or dropped for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Literal

import psycopg
from psycopg.rows import class_row

from keelson.errors import OwnershipError
from keelson.postgres.catalog import has_table
from keelson.postgres.connection import server_address
from keelson.postgres.locks import advisory_lock

MAINTENANCE_DATABASE = "postgres"
LOCK_KEY = 0x6B65656C736F6E00  # "keelson" in ASCII
LOCK_DEADLINE = 300.0  # s; hundreds of databases may stand in the queue

Kind = Literal["role", "database"]

_OIDS = {
    "role": "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s",
    "database": "SELECT oid FROM pg_catalog.pg_database WHERE datname = %s",
}


@dataclass(frozen=True, slots=True)
class Owned:
    """One row of the ownership table; `oid` is None while the object is being made."""

    kind: Kind
    name: str
    oid: int | None
    stack_id: str
    service: str


@dataclass(frozen=True, slots=True)
class Owner:
    """On whose behalf something is made: a stack's random id, and a service."""

    stack_id: str
    service: str


@contextmanager
def server_lock(admin: psycopg.Connection, deadline: float = LOCK_DEADLINE) -> Iterator[None]:
    """Hold the server's one lock for work on roles, grants and databases; make the ownership table where it is missing.

    A session that holds it already may take it again.

    Raises:
        LockError: another session holds it for longer than `deadline` seconds.
        OwnershipError: `admin` is not connected to the maintenance database.
    """
    if admin.info.dbname != MAINTENANCE_DATABASE:
        msg = f"roles are managed from the database {MAINTENANCE_DATABASE!r}, not {admin.info.dbname!r}; connect there"
        raise OwnershipError(msg)
    with advisory_lock(admin, LOCK_KEY, f"roles and databases of {server_address(admin)}", deadline):
        if not is_kept(admin):
            admin.execute(resources.files(__package__).joinpath("ownership.sql").read_bytes())
        yield


def object_oid(admin: psycopg.Connection, kind: Kind, name: str) -> int | None:
    """Return the oid of the role or database `name`, or None where there is none."""
    row = admin.execute(_OIDS[kind].encode(), [name]).fetchone()
    return row[0] if row else None


def owned_by(admin: psycopg.Connection, kind: Kind, name: str) -> Owned | None:
    """Return the row of `name`, or None where nobody owns it."""
    query = "SELECT kind, name, oid, stack_id, service FROM keelson.ownership WHERE (kind, name) = (%s, %s)"
    with admin.cursor(row_factory=class_row(Owned)) as cursor:
        return cursor.execute(query, [kind, name]).fetchone()


def owned_roles(admin: psycopg.Connection, owner: Owner) -> dict[str, int]:
    """Return {name: oid} of the roles that are there and belong to `owner`."""
    query = """
        SELECT o.name, o.oid FROM keelson.ownership o JOIN pg_catalog.pg_roles r ON r.rolname = o.name AND r.oid = o.oid
        WHERE o.kind = 'role' AND o.stack_id = %s AND o.service = %s ORDER BY o.name
    """
    return dict(admin.execute(query, [owner.stack_id, owner.service]).fetchall())


def release_roles(admin: psycopg.Connection, owner: Owner) -> None:
    """Forget all roles of `owner`, those too that somebody else has dropped."""
    query = "DELETE FROM keelson.ownership WHERE kind = 'role' AND stack_id = %s AND service = %s"
    admin.execute(query, [owner.stack_id, owner.service])


def check(admin: psycopg.Connection, kind: Kind, name: str, owner: Owner, *, adopt: bool = False) -> bool:
    """Return whether the object is there, as the owner's or to be adopted; False says that it may be made.

    Raises:
        OwnershipError: it belongs to another stack or service, or to nobody that Keelson knows.
    """
    oid = object_oid(admin, kind, name)
    if oid is None:
        return False
    row = owned_by(admin, kind, name)
    known = row is not None and row.oid in {None, oid}
    if row is not None and known and Owner(row.stack_id, row.service) != owner:
        whose = f"the service {row.service!r}" if row.stack_id == owner.stack_id else f"another stack ({row.stack_id})"
        msg = f"the {kind} {name!r} on {server_address(admin)} belongs to {whose}; choose another name"
        raise OwnershipError(msg)
    if not known and not adopt:
        msg = f"the {kind} {name!r} on {server_address(admin)} is not Keelson's; adopt it explicitly, or rename it"
        raise OwnershipError(msg)
    return True


def intend(admin: psycopg.Connection, kind: Kind, name: str, owner: Owner) -> None:
    """Note that the object is about to be made."""
    _write(admin, Owned(kind, name, None, owner.stack_id, owner.service))


def claim(admin: psycopg.Connection, kind: Kind, name: str, owner: Owner) -> None:
    """Note that the object, which is there, belongs to `owner`."""
    _write(admin, Owned(kind, name, object_oid(admin, kind, name), owner.stack_id, owner.service))


def release(admin: psycopg.Connection, kind: Kind, name: str) -> None:
    """Forget the object."""
    admin.execute("DELETE FROM keelson.ownership WHERE (kind, name) = (%s, %s)", [kind, name])


def is_kept(admin: psycopg.Connection) -> bool:
    """Return whether the server has the table of what belongs to whom."""
    return has_table(admin, "keelson.ownership")


def _write(admin: psycopg.Connection, row: Owned) -> None:
    query = """
        INSERT INTO keelson.ownership (kind, name, oid, stack_id, service)
        VALUES (%(kind)s, %(name)s, %(oid)s, %(stack_id)s, %(service)s)
        ON CONFLICT (kind, name) DO UPDATE SET (oid, stack_id, service) = (EXCLUDED.oid, EXCLUDED.stack_id, EXCLUDED.service)
    """
    admin.execute(query, asdict(row))
