"""Databases to try migrations in: on a private server that lasts as long as the block, or on one that the user names."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from keelson.errors import PlatformError, ServerError
from keelson.local import throwaway
from keelson.migrations.applying import apply
from keelson.migrations.files import MigrationFile
from keelson.postgres.bounds import Bounds
from keelson.postgres.catalog import has_role, server_version
from keelson.postgres.connection import connect, connect_beside
from keelson.postgres.databases import grant_schemas, make_unowned_database
from keelson.postgres.names import RoleNames
from keelson.postgres.ownership import MAINTENANCE_DATABASE
from keelson.postgres.roles import ExtraLogin, drop_roles, ensure_roles

PREFIX = "keelson_scratch_"

Connect = Callable[[str, str], psycopg.Connection]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a database is before its first migration.

    Attributes:
        service: Whose roles it has; empty for a plain database, whose migrations run as `user`.
        extensions: To be made, besides those that every service has.
        logins: The service's further logins.
        bounds: What each login of the service may take.
        user: Who owns what the migrations of a plain database make; empty for the server's administrator.
        roles: Further roles that migrations may name.
    """

    service: str = ""
    extensions: tuple[str, ...] = ()
    logins: Mapping[str, ExtraLogin] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    user: str = ""
    roles: tuple[str, ...] = ()

    @property
    def owner(self) -> str | None:
        """The role that migrations and seeds run as, None for the login itself."""
        return RoleNames(self.service).owner if self.service else None

    @property
    def migrator(self) -> str:
        """The login that runs migrations; empty for the server's administrator."""
        return RoleNames(self.service).migrator if self.service else self.user

    @property
    def role_names(self) -> tuple[str, ...]:
        """The roles of the service, further logins included."""
        names = RoleNames(self.service)
        return (*names.groups, *names.logins, *self.logins) if self.service else ()


@dataclass(frozen=True)
class ScratchDatabase:
    """A database that nobody needs."""

    name: str
    origin: Origin
    server: Scratch

    def as_migrator(self) -> psycopg.Connection:
        """Connect as whoever runs migrations."""
        return self.server.connect(self.name, self.origin.migrator)

    def as_admin(self) -> psycopg.Connection:
        """Connect as the administrator."""
        return self.server.connect(self.name)

    def replay(self, files: Sequence[MigrationFile], *, out_of_order: bool = False) -> None:
        """Apply what of the files is not there yet, as an `up` does; raises MigrationError."""
        with self.as_migrator() as connection:
            apply(connection, files, owner=self.origin.owner, out_of_order=out_of_order)
            if self.origin.service:
                grant_schemas(connection, self.origin.service)


class Scratch:
    """A server on which databases can be made and thrown away.

    Args:
        connect_to: Opens a connection to one of its databases, as the administrator or, where that can be, as another user.
        login: Whom every connection is made as, where there is no choice.
    """

    def __init__(self, connect_to: Connect, login: str = "") -> None:
        self.connect_to = connect_to
        self.login = login
        self._numbers = itertools.count(1)
        self._run = secrets.token_hex(4)
        self._databases: list[str] = []
        self._services: dict[str, str] = {}
        self._roles: list[str] = []
        with self.connect() as admin:
            self.major = server_version(admin) // 10_000

    def connect(self, database: str = MAINTENANCE_DATABASE, user: str = "") -> psycopg.Connection:
        """Connect to one of its databases, by default as the administrator."""
        return self.connect_to(database, user)

    def make(self, origin: Origin) -> ScratchDatabase:
        """Make a database with nothing in it but what is there before the first migration.

        Raises:
            SettingsError: the server does not have an extension.
            ServerError: its login may not do that.
        """
        name = self._name()
        with self._told(), self.connect() as admin:
            self._ensure_roles(admin, origin)
            if origin.service:
                make_unowned_database(admin, self.connect, name, RoleNames(origin.service), origin.extensions)
            else:
                self._make_plain(admin, name, origin.extensions)
        return ScratchDatabase(name, origin, self)

    def copy(self, database: ScratchDatabase) -> ScratchDatabase:
        """Make a database with all that is in another one, to which nobody may be connected."""
        name = self._name()
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(database.name))
        with self._told(), self.connect() as admin:
            admin.execute(query)
        return ScratchDatabase(name, database.origin, self)

    @contextmanager
    def cleaning_up(self) -> Iterator[None]:
        """Drop the databases that the block makes."""
        before = len(self._databases)
        try:
            yield
        finally:
            with self.connect() as admin:
                for name in self._databases[before:]:
                    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            del self._databases[before:]

    def forget_roles(self) -> None:
        """Drop the roles that were made, once their databases are gone."""
        with self.connect() as admin:
            for service, mark in self._services.items():
                drop_roles(admin, mark, service)
            for role in self._roles:
                admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    def _name(self) -> str:
        name = f"{PREFIX}{self._run}_{next(self._numbers)}"
        self._databases.append(name)
        return name

    def _ensure_roles(self, admin: psycopg.Connection, origin: Origin) -> None:
        """Make what is missing of the roles that a database needs; a role that is there stays as it is."""
        own = [role for role in origin.role_names if role in self._roles]
        if origin.service not in self._services and (own or not all(has_role(admin, r) for r in origin.role_names)):
            mark = self._services.setdefault(origin.service, secrets.token_hex(6))
            passwords = {role: secrets.token_urlsafe(24) for role in origin.role_names}
            limits = {login: bounds.connections for login, bounds in origin.bounds.items()}
            ensure_roles(admin, mark, origin.service, passwords, origin.logins, limits=limits, adopt=bool(own))
        migrator = {origin.user: "LOGIN SUPERUSER"} if origin.user and not self.login else {}
        for role, options in {**dict.fromkeys(origin.roles, "NOLOGIN"), **migrator}.items():
            if not has_role(admin, role):
                admin.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), sql.SQL(options)))
                self._roles.append(role)

    def _make_plain(self, admin: psycopg.Connection, name: str, extensions: Sequence[str]) -> None:
        query = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'")
        admin.execute(query.format(sql.Identifier(name)))
        with self.connect(name) as connection:
            for extension in extensions:
                made = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE").format(sql.Identifier(extension))
                connection.execute(made)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as fault:
            said = fault.diag.message_primary or str(fault)
            msg = f"no database to try migrations in can be made: {said}; let its login make databases and roles, or leave --scratch out"
            raise ServerError(msg) from None


@contextmanager
def private() -> Iterator[Scratch]:
    """Run a private server for the block.

    Raises:
        PlatformError: this machine has no private root.
        ServerError: the server does not start.
    """
    with ExitStack() as stack:
        try:
            server = stack.enter_context(throwaway.running())
        except PlatformError as fault:
            msg = f"{fault}; or name a server on which databases may be made with --scratch"
            raise PlatformError(msg) from None
        yield Scratch(lambda database, user: server.connect(database, user or throwaway.ADMINISTRATOR))


@contextmanager
def elsewhere(url: str) -> Iterator[Scratch]:
    """Use a server that the user names, as the login of its URL; what is made there goes with the block."""
    with connect(url, application_name="keelson scratch") as admin:
        scratch = Scratch(lambda database, _user: connect_beside(admin, database), admin.info.user)
        try:
            with scratch.cleaning_up():
                yield scratch
        finally:
            scratch.forget_roles()


def on(url: str | None) -> AbstractContextManager[Scratch]:
    """Return the scratch server of a block: the one of the URL, else a private one."""
    return elsewhere(url) if url else private()
