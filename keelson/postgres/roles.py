"""The roles of a service's database: who owns, who migrates, who writes, who reads.

| role | login | is a member of |
|---|---|---|
| <svc>_owner | no (see `databases`) | nothing; owns the database and all in it |
| <svc>_migrator | yes | owner, by SET ROLE alone: without it the login has no rights |
| <svc>_app, <svc>_readonly | no | nothing; hold the grants |
| <svc>_app_a, _b, <svc>_readonly_a, _b | yes | app or readonly, inherited |
| further logins | yes | app or readonly, further groups, or privileges of their own in some schemas |
| further groups | no | nothing; hold privileges in some schemas, as further logins may |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import psycopg
from psycopg import sql

from keelson.errors import SettingsError
from keelson.postgres import ownership
from keelson.postgres.connection import connect_beside
from keelson.postgres.names import RoleNames, validate_login_name, validate_service_name
from keelson.postgres.ownership import Owner, server_lock

UNLIMITED = -1

_OPTIONS = """
    SELECT rolname, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls OR NOT rolinherit, rolcanlogin,
        rolconnlimit
    FROM pg_catalog.pg_roles WHERE rolname = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class ExtraLogin:
    """A login beside the service's own, or a group of such logins.

    Attributes:
        privileges: Of select, insert, update, delete: what it may do in all tables of `schemas`.
        schemas: Where the privileges hold; empty means public.
        inherits: The group of the service that it is a member of.
        grants: What it may do with single tables, views and sequences, by name.
        member_of: The further groups whose privileges it has too.
        is_group: Whether it holds privileges for its members, and lets nobody in.
    """

    privileges: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    inherits: Literal["app", "readonly"] | None = None
    grants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    member_of: tuple[str, ...] = ()
    is_group: bool = False


def ensure_roles(  # noqa: PLR0913 - what a role is made of
    admin: psycopg.Connection,
    stack_id: str,
    service: str,
    passwords: Mapping[str, str],
    logins: Mapping[str, ExtraLogin] | None = None,
    *,
    connection_limit: int = UNLIMITED,
    limits: Mapping[str, int] | None = None,
    adopt: bool = False,
) -> None:
    """Bring the roles of `service` to what the arguments say, in one transaction.

    A login that the settings no longer name is dropped. `limits` are the connections that a login may have, and
    `connection_limit` those of each login of the application that it does not name.
    Passwords reach the server as SCRAM verifiers, computed here.

    Raises:
        IdentifierError: the service's or a login's name is not allowed.
        SettingsError: a login has no password.
        OwnershipError: a role of that name belongs to another stack or service, or to nobody (unless `adopt`).
    """
    logins = logins or {}
    validate_service_name(service)
    for name in logins:
        validate_login_name(name, service)
    roles, owner = RoleNames(service), Owner(stack_id, service)
    wanted = [*roles.groups, *roles.logins, *logins]
    groups = further_groups(logins)
    let_in = [name for name in (*roles.logins, *logins) if name not in groups]
    _refuse_missing_passwords(let_in, passwords)
    with server_lock(admin):
        _drop(admin, [name for name in ownership.owned_roles(admin, owner) if name not in wanted])
        with admin.transaction():
            keep_verifiers_out_of_logs(admin)
            for name in wanted:
                ensure_exists(admin, name, owner, adopt=adopt)
            # The owner keeps its LOGIN where TimescaleDB's jobs need it; without a password it lets nobody in.
            alter(admin, roles.owner, sql.SQL("PASSWORD NULL"))
            for name in (roles.app, roles.readonly, *groups):
                alter(admin, name, sql.SQL("NOLOGIN PASSWORD NULL"))
            for name in let_in:
                limit = UNLIMITED if name == roles.migrator else connection_limit
                limit = (limits or {}).get(name, limit)
                alter(admin, name, login_options(admin, name, passwords[name], limit))
            _set_memberships(admin, roles, logins)


def altered_roles(
    admin: psycopg.Connection,
    service: str,
    logins: Mapping[str, ExtraLogin] | None = None,
    *,
    connection_limit: int = UNLIMITED,
    limits: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """Return the roles of `service` that `ensure_roles` would bring back to what the arguments say; passwords are not seen."""
    logins = logins or {}
    usual = dict.fromkeys((*RoleNames(service).logins, *logins), connection_limit)
    usual[RoleNames(service).migrator] = UNLIMITED
    return altered_of(admin, {service: (logins, usual | dict(limits or {}))})


def altered_of(
    admin: psycopg.Connection, services: Mapping[str, tuple[Mapping[str, ExtraLogin], Mapping[str, int]]]
) -> tuple[str, ...]:
    """Return the same of many services, {service: (further logins, connections that each login may have)}, by two questions."""
    groups = [
        name
        for service, (logins, _) in services.items()
        for name in (*RoleNames(service).groups, *further_groups(logins))
    ]
    members = [name for service, (logins, _) in services.items() for name in (*RoleNames(service).logins, *logins)]
    rows = admin.execute(_OPTIONS, [[*groups, *members]]).fetchall()
    found = {name: tuple(options) for name, *options in rows}
    altered: set[str] = set()
    wanted: set[tuple[str, str]] = set()
    for service, (logins, limits) in services.items():
        plain = _plain(RoleNames(service), logins, limits, found)
        altered |= {name for name, options in plain.items() if found.get(name) != options}
        wanted |= _wanted_memberships(RoleNames(service), logins).keys()
    moved = _memberships(admin, groups, members) ^ wanted
    return tuple(sorted(altered | {member for _, member in moved}))


def _plain(
    roles: RoleNames,
    logins: Mapping[str, ExtraLogin],
    limits: Mapping[str, int],
    found: Mapping[str, tuple[object, ...]],
) -> dict[str, tuple[object, ...]]:
    """Return what the options of a service's roles should be."""
    plain: dict[str, tuple[object, ...]] = {
        **{name: (False, False, found.get(name, (None,))[-1]) for name in roles.groups},
        **{name: (False, True, limits.get(name, UNLIMITED)) for name in (*roles.logins, *logins)},
        **{name: (False, False, found.get(name, (None,))[-1]) for name in further_groups(logins)},
    }
    plain[roles.owner] = (False, *found.get(roles.owner, (None, None))[1:])  # see `databases`
    return plain


def drop_roles(admin: psycopg.Connection, stack_id: str, service: str) -> None:
    """Drop the roles that `stack_id` made for `service`; what they own in any database goes to the administrator.

    A role that is gone already is done. Their sessions are ended.
    """
    owner = Owner(stack_id, service)
    with server_lock(admin):
        _drop(admin, list(ownership.owned_roles(admin, owner)))
        ownership.release_roles(admin, owner)


def _refuse_missing_passwords(logins: list[str], passwords: Mapping[str, str]) -> None:
    for name in logins:
        if not passwords.get(name):
            msg = f"the login {name!r} has no password; give one, or have it generated by taking the empty one out"
            raise SettingsError(msg)


def further_groups(logins: Mapping[str, ExtraLogin]) -> list[str]:
    """Return those of the further roles that are groups."""
    return [name for name, login in logins.items() if login.is_group]


def keep_verifiers_out_of_logs(admin: psycopg.Connection) -> None:
    """Keep what the rest of the transaction says of passwords out of the server's log and statistics."""
    for setting, value in (
        ("log_statement", "none"),
        ("log_min_duration_statement", "-1"),
        ("log_min_error_statement", "panic"),
    ):
        admin.execute("SELECT pg_catalog.set_config(%s, %s, true)", [setting, value])
    admin.execute("SELECT pg_catalog.set_config('pg_stat_statements.track_utility', 'off', true)")


def ensure_exists(admin: psycopg.Connection, name: str, owner: Owner, *, adopt: bool = False) -> None:
    """Make a role for its owner, or take the one that is there as that; raises OwnershipError where it is another's."""
    if not ownership.check(admin, "role", name, owner, adopt=adopt):
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    ownership.claim(admin, "role", name, owner)


def alter(admin: psycopg.Connection, name: str, options: sql.Composable) -> None:
    """Give a role its options, and none that lets it do more than its grants do."""
    query = sql.SQL("ALTER ROLE {} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT {}")
    admin.execute(query.format(sql.Identifier(name), options))


def login_options(admin: psycopg.Connection, name: str, password: str, limit: int) -> sql.Composable:
    """Return the options of a role that logs in with a password, of which the server is told the verifier alone."""
    verifier = admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    return sql.SQL("LOGIN CONNECTION LIMIT {} PASSWORD {}").format(sql.Literal(limit), sql.Literal(verifier))


def keep_only(admin: psycopg.Connection, name: str, rights: str) -> None:
    """Make a role a member of `rights`, which it inherits, and of no other role."""
    query = """
        SELECT g.rolname FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
        WHERE a.member = %s::regrole AND g.rolname <> %s
    """
    member, group = sql.Identifier(name), sql.Identifier(rights)
    for (other,) in admin.execute(query, [name, rights]).fetchall():
        admin.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(other), member))
    admin.execute(sql.SQL("GRANT {} TO {} WITH ADMIN FALSE, INHERIT TRUE, SET FALSE").format(group, member))


def _wanted_memberships(roles: RoleNames, logins: Mapping[str, ExtraLogin]) -> dict[tuple[str, str], str]:
    """Return {(group, member): with which options}."""
    return {
        (roles.owner, roles.migrator): "INHERIT FALSE, SET TRUE",
        **{(roles.app, login): "INHERIT TRUE, SET FALSE" for login in (roles.app_a, roles.app_b)},
        **{(roles.readonly, login): "INHERIT TRUE, SET FALSE" for login in (roles.readonly_a, roles.readonly_b)},
        **{
            (f"{roles.service}_{login.inherits}", name): "INHERIT TRUE, SET FALSE"
            for name, login in logins.items()
            if login.inherits
        },
        **{(group, name): "INHERIT TRUE, SET FALSE" for name, login in logins.items() for group in login.member_of},
    }


def _set_memberships(admin: psycopg.Connection, roles: RoleNames, logins: Mapping[str, ExtraLogin]) -> None:
    wanted = _wanted_memberships(roles, logins)
    groups = [*roles.groups, *further_groups(logins)]
    for group, member in _memberships(admin, groups, [*roles.logins, *logins]) - wanted.keys():
        admin.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), sql.Identifier(member)))
    for (group, member), options in wanted.items():
        query = sql.SQL("GRANT {} TO {} WITH ADMIN FALSE, {}")
        admin.execute(query.format(sql.Identifier(group), sql.Identifier(member), sql.SQL(options)))


def _memberships(admin: psycopg.Connection, groups: Sequence[str], members: list[str]) -> set[tuple[str, str]]:
    query = """
        SELECT g.rolname, m.rolname FROM pg_catalog.pg_auth_members a
        JOIN pg_catalog.pg_roles g ON g.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
        WHERE g.rolname = ANY(%s) AND m.rolname = ANY(%s)
    """
    return set(admin.execute(query, [list(groups), members]).fetchall())


def _drop(admin: psycopg.Connection, names: list[str]) -> None:
    """Drop roles, after what refers to them in each database that pg_shdepend names."""
    if not names:
        return
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = ANY(%s)", [names])
    for database in _databases_that_refer_to(admin, names):
        with connect_beside(admin, database) as connection, connection.transaction():
            _disown(connection, names)
    with admin.transaction():
        _disown(admin, names)
        for name in names:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
            ownership.release(admin, "role", name)


def _disown(connection: psycopg.Connection, names: list[str]) -> None:
    # One role for each statement: DROP OWNED of several fails over default privileges that one grants to another.
    for role in map(sql.Identifier, names):
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))


def _databases_that_refer_to(admin: psycopg.Connection, names: list[str]) -> list[str]:
    query = """
        SELECT d.datname FROM pg_catalog.pg_database d WHERE d.datallowconn AND d.datname <> current_database() AND d.oid IN (
            SELECT s.dbid FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
            WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND r.rolname = ANY(%s))
        ORDER BY d.datname
    """
    return [row[0] for row in admin.execute(query, [names])]
