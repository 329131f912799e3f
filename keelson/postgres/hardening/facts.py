"""What a server tells about itself, each asked for once, and only when a check wants to know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Self

import psycopg

from keelson.postgres.catalog import has_role
from keelson.postgres.connection import connect_beside
from keelson.postgres.hardening.model import Expected, Wanted
from keelson.postgres.hardening.rules import BY_PASSWORD, Rule, of_user, reached
from keelson.postgres.names import RoleNames
from keelson.postgres.ownership import MAINTENANCE_DATABASE, is_kept

LONGEST = "30s"  # that one question may take


class HiddenError(Exception):
    """The login may not see something of the server."""


class Parameters(dict[str, str]):
    """The server's parameters; asking for one that is not among them raises HiddenError."""

    def __missing__(self, name: str) -> str:
        """Say that the server tells superusers alone."""
        msg = f"the server does not tell this login its parameter {name}; give a superuser's"
        raise HiddenError(msg)


@dataclass(frozen=True)
class Role:
    """A role that people have made; `belongs_to` are the roles of which it is a member, however indirectly."""

    name: str
    is_first: bool  # initdb's own
    superuser: bool
    createrole: bool
    createdb: bool
    bypassrls: bool
    replication: bool
    login: bool
    limit: int
    ends: bool
    verifier: str  # none, scram, weak
    belongs_to: Sequence[str]
    owns: bool

    @property
    def replicates_only(self) -> bool:
        """Whether it may replicate, and nothing else."""
        more = self.superuser or self.createrole or self.createdb or self.bypassrls
        return self.replication and not (more or self.belongs_to or self.owns)


@dataclass(frozen=True)
class Database:
    """A database; `public` is what PUBLIC may do with it, `clients` the logins that may connect."""

    name: str
    owner: str
    usable: bool
    public: Sequence[str]
    clients: Sequence[str]


class Facts:
    """A server, as its administrator sees it. Each question raises psycopg.Error where the login may not ask it."""

    def __init__(self, admin: psycopg.Connection, expected: Expected) -> None:
        self.admin, self.expected = _reading(admin), expected
        self._connections, self._close = {admin.info.dbname: admin}, ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """The server's parameters, as a session has them that asks for nothing."""
        try:
            return Parameters(self._rows("settings"))
        except psycopg.errors.InsufficientPrivilege:
            return Parameters(self._rows("told_settings"))

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The lines of pg_hba.conf."""
        return tuple(
            Rule(line, kind, tuple(databases or ()), tuple(users or ()), *rest)
            for line, kind, databases, users, *rest in self._rows("rules")
        )

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """The roles, without PostgreSQL's own."""
        rows = (Role(*row) for row in self._rows("roles"))
        return {role.name: role for role in rows}

    @property
    def logins(self) -> tuple[Role, ...]:
        """The roles that log in and are no superusers."""
        return tuple(role for role in self.roles.values() if role.login and not role.superuser)

    @property
    def let_in(self) -> tuple[Role, ...]:
        """The logins without those that have no password, where no line lets them in without one.

        TimescaleDB runs jobs only as an owner that may log in, be it so that nobody can as that.
        """
        return tuple(role for role in self.logins if role.verifier != "none" or self._comes_without_password(role))

    def _comes_without_password(self, role: Role) -> bool:
        lines = of_user(tuple(reached(self.rules)), role.name)
        return any(line.lets_in and line.method not in BY_PASSWORD for line in lines)

    @cached_property
    def role_settings(self) -> Mapping[tuple[str, str, str], str]:
        """{(database or nothing, role or nothing, parameter): value} of what is set for them alone."""
        return {(database, role, name): value for database, role, name, value in self._rows("role_settings")}

    @cached_property
    def databases(self) -> Mapping[str, Database]:
        """All databases."""
        rows = (Database(*row) for row in self._rows("databases"))
        return {database.name: database for database in rows}

    @property
    def services(self) -> Mapping[str, Database]:
        """The databases of services: those that the stack names, else all but PostgreSQL's own."""
        wanted = self.expected.databases
        return {
            name: found
            for name, found in self.databases.items()
            if found.usable and (name != MAINTENANCE_DATABASE if wanted is None else name in wanted)
        }

    @cached_property
    def owned(self) -> Mapping[str, str]:
        """{role: service} of Keelson's own table; nothing where the server has none."""
        connection = self._connected(MAINTENANCE_DATABASE)
        if not is_kept(connection):
            return {}
        return dict(connection.execute("SELECT name, service FROM keelson.ownership WHERE kind = 'role'").fetchall())

    @property
    def caretakers(self) -> frozenset[str]:
        """The logins by which Keelson itself looks after the server, such as the one of backups."""
        return frozenset(name for name, service in self.owned.items() if not service.isidentifier())

    @cached_property
    def replicas(self) -> tuple[tuple[str, str, str], ...]:
        """(role, name, address) of who takes the write-ahead log from another machine now."""
        return tuple(self._rows("replicas"))

    @cached_property
    def archiver(self) -> tuple[int, bool, str]:
        """How often archiving failed, whether it fails now, and with which file."""
        ((count, fails, file),) = self._rows("archiver")
        return count, fails, file

    @cached_property
    def inside(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """{service: {question of sql/database: what was found}}."""
        return {name: self._ask_inside(name) for name in self.services}

    @cached_property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """(where, text) of all that people wrote into the server's databases."""
        found = [(where or "a comment", text) for where, text in self._rows("shared_texts")]
        found += [(f"the parameter {name}", value) for name, value in self.settings.items() if value]
        found += [
            (f"the parameter {name} of {role or database}", value)
            for (database, role, name), value in self.role_settings.items()
        ]
        for name in filter(lambda name: self.databases[name].usable, self.databases):
            rows = self._connected(name).execute(_text("texts.sql")).fetchall()
            found += [(f"{where or 'a comment'} in {name}", text) for where, text in rows]
        return tuple(found)

    @property
    def is_of_this_machine(self) -> bool:
        """Whether the server was reached without a network between."""
        row = self.admin.execute(
            "SELECT inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1'"
        ).fetchone()
        return bool(row and row[0])

    def effective(self, parameter: str, role: str, database: str) -> str:
        """Return what a login gets in a database."""
        places = ((database, role), ("", role), (database, ""), ("", ""))
        known = (self.role_settings.get((*place, parameter)) for place in places)
        return next((value for value in known if value is not None), self.settings.get(parameter, ""))

    def _ask_inside(self, name: str) -> Mapping[str, tuple[str, ...]]:
        wanted = (self.expected.databases or {}).get(name)
        found: dict[str, list[str]] = {question: [] for question in _QUESTIONS}
        for question, thing, what in self._connected(name).execute(_INSIDE, self._arguments(name, wanted)):
            found[question].append(f"{name}: {thing} ({what})")
        return {question: tuple(faults) for question, faults in found.items()}

    def _arguments(self, name: str, wanted: Wanted | None) -> dict[str, Any]:
        return {
            "owner": wanted.owner if wanted else self._owner(name),
            "extensions": list(wanted.extensions) if wanted else None,
            "passwordless": self._passwordless(),
        }

    def _passwordless(self) -> list[str]:
        """Return the logins that have no password, as far as this one may know."""
        try:
            return [role.name for role in self.logins if role.verifier == "none"]
        except psycopg.errors.InsufficientPrivilege:
            return []

    def _owner(self, name: str) -> str:
        """Return who should own what is in a database: the service's owner where it has one."""
        usual = RoleNames(name).owner
        return usual if has_role(self.admin, usual) else self.databases[name].owner

    def _connected(self, name: str) -> psycopg.Connection:
        """Return a connection to a database, which stays open for further questions."""
        if name not in self._connections:
            self._connections[name] = self._close.enter_context(_reading(connect_beside(self.admin, name)))
        return self._connections[name]

    def _rows(self, name: str) -> list[Any]:
        return self.admin.execute(_text(f"{name}.sql")).fetchall()


def _reading(connection: psycopg.Connection) -> psycopg.Connection:
    """Let a connection read alone, and no question take long."""
    connection.execute(
        "SELECT pg_catalog.set_config('default_transaction_read_only', 'on', false),"
        " pg_catalog.set_config('statement_timeout', %s, false)",
        [LONGEST],
    )
    return connection


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("sql", name).read_text(encoding="utf-8")


def _inside() -> str:
    """Return the one query that asks all questions of sql/database."""
    parts = (
        f"SELECT '{name}', q.object::text, q.what::text FROM (\n{_text(f'database/{name}.sql')}\n) q"  # noqa: S608 - files of this package
        for name in _QUESTIONS
    )
    return _text("scope.sql") + "\nUNION ALL\n".join(parts)


_QUESTIONS = tuple(
    sorted(each.name.removesuffix(".sql") for each in resources.files(__package__).joinpath("sql/database").iterdir())
)
_INSIDE = _inside()
