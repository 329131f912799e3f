"""Whether roles, their bounds and who may connect stand on a server as they should: a few questions, however many roles there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from keelson.postgres import backup_login, roles
from keelson.postgres.bounds import Bounds, altered_settings
from keelson.postgres.catalog import has_role
from keelson.postgres.names import BACKUP, RoleNames
from keelson.postgres.roles import ExtraLogin

_OPEN = """
    SELECT d.datname FROM pg_catalog.pg_database d, pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
    WHERE d.datname = ANY(%s) AND a.grantee = 0 ORDER BY 1
"""
_CLOSED = """
    SELECT w.login FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])) w(database, login)
    JOIN pg_catalog.pg_database d ON d.datname = w.database JOIN pg_catalog.pg_roles r ON r.rolname = w.login
    WHERE NOT pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT') ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one service's roles should be."""

    service: str
    logins: Mapping[str, ExtraLogin] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    connection_limit: int = roles.UNLIMITED  # of a login of the application that the bounds do not name

    @property
    def limits(self) -> dict[str, int]:
        """How many connections each login may have."""
        names = RoleNames(self.service)
        usual = dict.fromkeys((*names.logins, *self.logins), self.connection_limit) | {names.migrator: roles.UNLIMITED}
        return usual | {login: bounds.connections for login, bounds in self.bounds.items()}


def altered(admin: psycopg.Connection, services: Sequence[Wanted]) -> tuple[str, ...]:
    """Return the roles and databases of services that are otherwise than they should be; one that is not there yet is not.

    `admin` is the administrator's connection to any database of the server.
    """
    there = _made(admin, services)
    return tuple(sorted(set(_altered(admin, there)))) if there else ()


def _altered(admin: psycopg.Connection, services: Sequence[Wanted]) -> Iterator[str]:
    yield from roles.altered_of(admin, {each.service: (each.logins, each.limits) for each in services})
    yield from (login for _, login in altered_settings(admin, {each.service: each.bounds for each in services}))
    yield from (name for (name,) in admin.execute(_OPEN, [[each.service for each in services]]).fetchall())
    pairs = [(each.service, login) for each in services for login in each.bounds]
    yield from (
        name for (name,) in admin.execute(_CLOSED, [[at for at, _ in pairs], [who for _, who in pairs]]).fetchall()
    )
    if has_role(admin, BACKUP) and not backup_login.stands(admin):
        yield BACKUP


def _made(admin: psycopg.Connection, services: Sequence[Wanted]) -> list[Wanted]:
    """Return the services whose roles and database are there."""
    query = """
        SELECT d.datname FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.rolname = d.datname || '_owner'
        WHERE d.datname = ANY(%s)
    """
    found = {row[0] for row in admin.execute(query, [[each.service for each in services]]).fetchall()}
    return [each for each in services if each.service in found]
