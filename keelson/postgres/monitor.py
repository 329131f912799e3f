"""The login that an exporter has on a server: it sees figures of everything, and no row of anybody's."""

from __future__ import annotations

import psycopg
from psycopg import sql

from keelson.postgres import roles
from keelson.postgres.catalog import has_role
from keelson.postgres.ownership import MAINTENANCE_DATABASE, Owner, server_lock

MONITOR = "monitor"
RIGHTS = "pg_monitor"
CONNECTIONS = 5  # that exporters may have at once: an old one and its successor
LONGEST = "10s"  # that a question may take, so that none waits behind another
_PLATFORM = "(the platform)"  # in place of a service, which cannot be called so


def ensure_monitor(admin: psycopg.Connection, stack_id: str, password: str) -> None:
    """Make the login, or bring the one that is there to what it may, in one transaction.

    Raises:
        OwnershipError: a role of that name belongs to a service, to another stack or to nobody.
    """
    owner, name = Owner(stack_id, _PLATFORM), sql.Identifier(MONITOR)
    with server_lock(admin), admin.transaction():
        roles.keep_verifiers_out_of_logs(admin)
        roles.ensure_exists(admin, MONITOR, owner)
        roles.alter(admin, MONITOR, roles.login_options(admin, MONITOR, password, CONNECTIONS))
        roles.keep_only(admin, MONITOR, RIGHTS)
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(MAINTENANCE_DATABASE), name))
        admin.execute(sql.SQL("ALTER ROLE {} SET statement_timeout = {}").format(name, sql.Literal(LONGEST)))
        admin.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(name))


def has_monitor(admin: psycopg.Connection) -> bool:
    """Say whether the login is there."""
    return has_role(admin, MONITOR)


def drop_monitor(admin: psycopg.Connection, stack_id: str) -> None:
    """Drop the login if the stack made it, and end its sessions; a second time is fine."""
    roles.drop_roles(admin, stack_id, _PLATFORM)
