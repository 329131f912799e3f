"""The login that backups are made as: it reads every row of every service, whatever row security says, and changes nothing."""

from __future__ import annotations

import psycopg
from psycopg import sql

from keelson.postgres import roles
from keelson.postgres.catalog import has_role
from keelson.postgres.names import BACKUP
from keelson.postgres.ownership import Owner, server_lock

RIGHTS = "pg_read_all_data"
CONNECTIONS = 50  # a backup holds two, and in a cluster many may run at once
_PLATFORM = "(the backups)"  # in place of a service, which cannot be called so

_STANDING = """
    SELECT r.rolcanlogin AND r.rolbypassrls AND r.rolconnlimit = %(connections)s
        AND NOT (r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication)
        AND ARRAY(SELECT a.roleid::regrole::text FROM pg_catalog.pg_auth_members a WHERE a.member = r.oid) = ARRAY[%(rights)s]
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_database d JOIN keelson.ownership o ON o.kind = 'database' AND o.oid = d.oid AND o.name = o.service
            WHERE NOT pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT'))
    FROM pg_catalog.pg_roles r WHERE r.rolname = %(name)s
"""
# What pg_dump leaves out or stumbles over without the superuser's rights: large objects of others (until PostgreSQL 18 no
# predefined role reads them), subscriptions, and the options of foreign users.
_COMPLETE = """
    SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_user_mappings)
        AND NOT EXISTS (
            SELECT s.oid FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
            WHERE d.datname = current_database())
        AND pg_catalog.pg_has_role(current_user, 'pg_read_all_data', 'USAGE')
        AND (SELECT rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)
"""


def ensure_backup_login(admin: psycopg.Connection, stack_id: str, password: str) -> None:
    """Make the login, or bring the one that is there to what it may, and let it into the databases that are there.

    Raises:
        OwnershipError: a role of that name belongs to a service, to another stack or to nobody.
    """
    owner, name = Owner(stack_id, _PLATFORM), sql.Identifier(BACKUP)
    with server_lock(admin), admin.transaction():
        roles.keep_verifiers_out_of_logs(admin)
        roles.ensure_exists(admin, BACKUP, owner)
        roles.alter(admin, BACKUP, roles.login_options(admin, BACKUP, password, CONNECTIONS))
        admin.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(name))  # forced row security would hide rows from it
        roles.keep_only(admin, BACKUP, RIGHTS)
        admin.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(name))
        for database in _databases(admin, stack_id):
            admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), name))


def stands(admin: psycopg.Connection) -> bool:
    """Say whether the login is there, and may what it should and no more."""
    row = admin.execute(_STANDING, {"name": BACKUP, "rights": RIGHTS, "connections": CONNECTIONS}).fetchone()
    return bool(row and row[0])


def sees_all(connection: psycopg.Connection) -> bool:
    """Say whether a dump of the connected database, made as whom the connection is, lacks nothing."""
    row = connection.execute(_COMPLETE).fetchone()
    return bool(row and row[0])


def let_in(admin: psycopg.Connection, database: str) -> None:
    """Let the login into a database, where the server has it."""
    if has_role(admin, BACKUP):
        query = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        admin.execute(query.format(sql.Identifier(database), sql.Identifier(BACKUP)))


def drop_backup_login(admin: psycopg.Connection, stack_id: str) -> None:
    """Drop the login if the stack made it, and end its sessions; a second time is fine."""
    roles.drop_roles(admin, stack_id, _PLATFORM)


def _databases(admin: psycopg.Connection, stack_id: str) -> list[str]:
    query = """
        SELECT d.datname FROM pg_catalog.pg_database d
        JOIN keelson.ownership o ON o.kind = 'database' AND o.oid = d.oid AND o.name = o.service
        WHERE o.stack_id = %s ORDER BY 1
    """
    return [row[0] for row in admin.execute(query, [stack_id]).fetchall()]
