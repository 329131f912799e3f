"""A service's database: made from template0, owned by the service, closed until its migrations are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import resources

import psycopg
from psycopg import sql

from keelson.errors import SettingsError
from keelson.postgres import backup_login, ownership
from keelson.postgres.bounds import Bounds, ensure_settings
from keelson.postgres.catalog import server_version, timescale_edition
from keelson.postgres.connection import connect_beside, server_address
from keelson.postgres.grants import grant_objects
from keelson.postgres.names import BACKUP, RoleNames, validate_service_name
from keelson.postgres.ownership import MAINTENANCE_DATABASE, Owner, server_lock
from keelson.postgres.roles import ExtraLogin

ALWAYS = ("pg_stat_statements",)
BUILTIN_LOCALES_SINCE = 170000
PRIVILEGES = ("select", "insert", "update", "delete")


def ensure_database(  # noqa: PLR0913, PLR0917 - what a database is made of
    admin: psycopg.Connection,
    connect_to: Callable[[str], psycopg.Connection],
    stack_id: str,
    name: str,
    owner: str,
    extensions: tuple[str, ...] = (),
    *,
    adopt: bool = False,
) -> None:
    """Make the database of the service `name`, or go on with one that a kill left half-done.

    Nobody but the owner, the migrator and administrators can connect to it until `open_access`.

    Args:
        admin: The administrator's connection to the maintenance database.
        connect_to: Opens the administrator's connection to a database by its name.
        stack_id: Whose it is.
        name: The service; its roles are there already.
        owner: The role that owns the database.
        extensions: To be made, besides pg_stat_statements; none is ever dropped.
        adopt: Whether to take over a database that nobody that Keelson knows has made.

    Raises:
        IdentifierError: the name is not allowed.
        SettingsError: the server does not have an extension.
        OwnershipError: a database of that name belongs to another stack, or to nobody.
    """
    validate_service_name(name)
    wanted = _wanted(extensions)
    _refuse_missing_extensions(admin, name, wanted)
    who = Owner(stack_id, name)
    with server_lock(admin):
        there = ownership.check(admin, "database", name, who, adopt=adopt)
        if there and is_half_dropped(admin, name):
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
            there = False
        if not there:
            ownership.intend(admin, "database", name, who)
            _create(admin, name, owner)
        _restrict(admin, name, owner, RoleNames(name).migrator)
        backup_login.let_in(admin, name)
        ownership.claim(admin, "database", name, who)
    with connect_to(name) as connection:
        _furnish(connection, RoleNames(name), wanted)


def make_unowned_database(
    admin: psycopg.Connection,
    connect_to: Callable[[str], psycopg.Connection],
    name: str,
    roles: RoleNames,
    extensions: tuple[str, ...] = (),
) -> None:
    """Make a database that is like the service's own but for its name, and that no stack knows: to try things in.

    Raises:
        SettingsError: the server does not have an extension.
    """
    wanted = _wanted(extensions)
    _refuse_missing_extensions(admin, name, wanted)
    _create(admin, name, roles.owner)
    _restrict(admin, name, roles.owner, roles.migrator)
    with connect_to(name) as connection:
        _furnish(connection, roles, wanted)


def open_access(
    admin: psycopg.Connection,
    service: str,
    logins: Mapping[str, ExtraLogin] | None = None,
    *,
    bounds: Mapping[str, Bounds] | None = None,
    database: str | None = None,
) -> None:
    """Let the application, the readers and the further logins connect to the service's database, and nobody else.

    What PUBLIC was given there, or on the schema public, is taken again, and what is made later is granted as it should be.

    `admin` is the administrator's connection to any database of the server; `database` another one like the service's.
    `bounds` say what sessions of a login begin with.
    """
    roles, logins, name = RoleNames(service), logins or {}, database or service
    independent = [name for name, login in logins.items() if not (login.inherits or login.is_group)]
    grantees = sql.SQL(", ").join(map(sql.Identifier, (roles.app, roles.readonly, *independent)))
    query = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(name), grantees)
    with _connected(admin, name) as inside, _connected(admin, MAINTENANCE_DATABASE) as outside, server_lock(outside):
        with inside.transaction():
            _set_defaults(inside, roles)
            for login, settings in logins.items():
                _grant_privileges(inside, roles, login, settings)
            ensure_settings(inside, {name: bounds or {}})
        _restrict(outside, name, roles.owner, roles.migrator)
        outside.execute(query)


def close_access(admin: psycopg.Connection, stack_id: str, service: str) -> None:
    """Take from all but owner and migrator the right to connect to the service's database, and end their sessions.

    What is written from then on is written by Keelson or an administrator alone. `admin` is the administrator's
    connection to the maintenance database.

    Raises:
        OwnershipError: the database belongs to another stack or to nobody.
    """
    roles, database = RoleNames(service), sql.Identifier(service)
    with server_lock(admin):
        ownership.check(admin, "database", service, Owner(stack_id, service))
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        for (name,) in admin.execute(
            _text("grantees.sql"), [service, [roles.owner, roles.migrator, BACKUP]]
        ).fetchall():
            query = sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM {}")
            admin.execute(query.format(database, sql.Identifier(name)))
        admin.execute(_text("end_sessions.sql"), [service, roles.migrator])


def grant_schemas(connection: psycopg.Connection, service: str) -> None:
    """Give application and readers their rights on what has none yet, in all schemas of the connected database.

    `connection` is the migrator's or the administrator's; the administrator's also reaches what others own. What a
    migration has revoked stays revoked, and nobody but the owner writes to the ledger.
    """
    with connection.transaction():
        if not _is_superuser(connection):
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(RoleNames(service).owner)))
        connection.execute("SELECT pg_catalog.set_config('keelson.service', %s, true)", [service])
        connection.execute("SET LOCAL search_path = pg_catalog")
        connection.execute(_text("grants.sql"))


def is_half_dropped(admin: psycopg.Connection, name: str) -> bool:
    """Say whether a DROP DATABASE was cut off: nobody can connect any more, and the data are gone."""
    query = "SELECT datconnlimit = -2 FROM pg_catalog.pg_database WHERE datname = %s"
    row = admin.execute(query, [name]).fetchone()
    return bool(row and row[0])


def drop_database(admin: psycopg.Connection, stack_id: str, name: str) -> None:
    """Drop the database and end its sessions; one that is gone already is done.

    Raises:
        OwnershipError: it belongs to another stack or to nobody, or it is another one than the stack made.
    """
    with server_lock(admin):
        if ownership.check(admin, "database", name, Owner(stack_id, name)):
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        row = ownership.owned_by(admin, "database", name)
        if row and row.stack_id == stack_id:
            ownership.release(admin, "database", name)


def _wanted(extensions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*_preloaded_first(extensions), *ALWAYS)))


def _preloaded_first(extensions: tuple[str, ...]) -> tuple[str, ...]:
    """TimescaleDB wants to be the first that a session makes."""
    return tuple(sorted(extensions, key=lambda name: name != "timescaledb"))


def _refuse_missing_extensions(admin: psycopg.Connection, database: str, wanted: tuple[str, ...]) -> None:
    rows = admin.execute("SELECT name FROM pg_catalog.pg_available_extensions WHERE name = ANY(%s)", [list(wanted)])
    missing = set(wanted) - {row[0] for row in rows}
    if missing:
        msg = (
            f"the extension {min(missing)!r} of the database {database!r} is not on the server {server_address(admin)}; "
            "install its package there or take it out of database.yaml"
        )
        raise SettingsError(msg)


def _create(admin: psycopg.Connection, name: str, owner: str) -> None:
    # The builtin provider sorts the same on every machine, so no index breaks when the C library changes.
    provider = "LOCALE_PROVIDER builtin" if server_version(admin) >= BUILTIN_LOCALES_SINCE else "LOCALE_PROVIDER libc"
    query = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' {}")
    admin.execute(query.format(sql.Identifier(name), sql.Identifier(owner), sql.SQL(provider)))


def _restrict(admin: psycopg.Connection, name: str, owner: str, login: str) -> None:
    database, migrator = sql.Identifier(name), sql.Identifier(login)
    admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(owner)))
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, migrator))


def _furnish(connection: psycopg.Connection, roles: RoleNames, extensions: tuple[str, ...]) -> None:
    """Put into a database what is there before its first migration."""
    for extension in extensions:
        _ensure_extension(connection, connection.info.dbname, extension)
    if timescale_edition(connection) == "community":
        _let_jobs_run_as(connection, roles.owner)
    _set_defaults(connection, roles)


def _ensure_extension(connection: psycopg.Connection, database: str, extension: str) -> None:
    if connection.execute("SELECT FROM pg_catalog.pg_extension WHERE extname = %s", [extension]).fetchone():
        return
    query = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE")  # in public, but for those that fix their schema
    try:
        connection.execute(query.format(sql.Identifier(extension)))
    except psycopg.Error as fault:
        msg = (
            f"the extension {extension!r} cannot be made in the database {database!r} of {server_address(connection)}: "
            f"{fault.diag.message_primary}; look at shared_preload_libraries of that server"
        )
        raise SettingsError(msg) from None


def _let_jobs_run_as(connection: psycopg.Connection, owner: str) -> None:
    """TimescaleDB refuses policies on tables whose owner is NOLOGIN (timescaledb#8920); no password, so no login."""
    connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD NULL").format(sql.Identifier(owner)))


def _set_defaults(connection: psycopg.Connection, roles: RoleNames) -> None:
    names = {part: sql.Identifier(getattr(roles, part)) for part in ("owner", "migrator", "app", "readonly")}
    with connection.transaction():
        connection.execute(sql.SQL(_text("defaults.sql")).format(**names))


def _grant_privileges(connection: psycopg.Connection, roles: RoleNames, name: str, login: ExtraLogin) -> None:
    """Give one further login its own privileges, and no others, in the schemas that it names."""
    privileges = _checked_privileges(name, login)
    names = {
        "role": sql.Identifier(name),
        "owner": sql.Identifier(roles.owner),
        "migrator": sql.Identifier(roles.migrator),
    }
    for row in connection.execute(_text("granted_schemas.sql"), [name]).fetchall():
        connection.execute(sql.SQL(_text("login_revoke.sql")).format(schema=sql.Identifier(row[0]), **names))
    if privileges is None and not login.grants:
        return
    connection.execute(
        sql.SQL("GRANT USAGE ON SCHEMA public TO {role}").format(**names)
    )  # where extensions' functions are
    grant_objects(connection, name, login.grants)
    if privileges is None:
        return
    for schema in login.schemas or ("public",):
        query = sql.SQL(_text("login_grant.sql"))
        connection.execute(query.format(schema=sql.Identifier(schema), privileges=privileges, **names))


def _checked_privileges(name: str, login: ExtraLogin) -> sql.Composable | None:
    unknown = set(login.privileges) - set(PRIVILEGES)
    if unknown:
        msg = f"the login {name!r} asks for the privilege {min(unknown)!r}; known are {', '.join(PRIVILEGES)}"
        raise SettingsError(msg)
    return sql.SQL(", ").join(sql.SQL(privilege) for privilege in login.privileges) if login.privileges else None


def _is_superuser(connection: psycopg.Connection) -> bool:
    return connection.info.parameter_status("is_superuser") == "on"


@contextmanager
def _connected(admin: psycopg.Connection, database: str) -> Iterator[psycopg.Connection]:
    """Give `admin` itself if it is connected to `database`, else a connection of its own."""
    with ExitStack() as stack:
        yield admin if admin.info.dbname == database else stack.enter_context(connect_beside(admin, database))


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
