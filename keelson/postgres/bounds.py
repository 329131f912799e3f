"""What one login may take at most of a server, and where its sessions look for names: set for one database alone.

Settings are what a session begins with, and it may change them; the number of connections is a wall.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one login; durations are PostgreSQL's own texts, 0 for none.

    Attributes:
        connections: at once; -1 for any number.
        search_path: the schemas in which unqualified names are looked for.
        statement_timeout: how long one statement may run.
        lock_timeout: how long it may wait for a lock.
        idle_in_transaction_session_timeout: how long a transaction may do nothing.
    """

    connections: int = UNLIMITED
    search_path: tuple[str, ...] = ("public",)
    statement_timeout: str = "0"
    lock_timeout: str = "0"
    idle_in_transaction_session_timeout: str = "0"

    @property
    def settings(self) -> dict[str, str | list[str]]:
        """What is set, by PostgreSQL's names."""
        return {
            "search_path": list(self.search_path),
            "statement_timeout": self.statement_timeout,
            "lock_timeout": self.lock_timeout,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_session_timeout,
        }


Services = Mapping[str, Mapping[str, Bounds]]  # by database and login


def ensure_settings(connection: psycopg.Connection, wanted: Services) -> None:
    """Set what logins begin with in databases, where it is otherwise."""
    from psycopg import sql  # noqa: PLC0415 - slow, and settings have bounds too

    for database, login, name in _different(connection, wanted):
        value = wanted[database][login].settings[name]
        texts = [sql.Literal(text) for text in ([value] if isinstance(value, str) else value)]
        query = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} TO {}")
        where = (sql.Identifier(login), sql.Identifier(database), sql.Identifier(name))
        connection.execute(query.format(*where, sql.SQL(", ").join(texts) if texts else sql.Literal("")))


def altered_settings(connection: psycopg.Connection, wanted: Services) -> set[tuple[str, str]]:
    """Return the databases with the logins that do not begin there as they should; one question for all of a server."""
    return {(database, login) for database, login, _ in _different(connection, wanted)}


def _different(connection: psycopg.Connection, wanted: Services) -> list[tuple[str, str, str]]:
    document = {
        database: {login: bounds.settings for login, bounds in logins.items()} for database, logins in wanted.items()
    }
    text = resources.files(__package__).joinpath("bounds.sql").read_bytes()
    return connection.execute(text, [json.dumps(document)]).fetchall()
