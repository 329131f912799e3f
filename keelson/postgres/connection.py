"""Connections to PostgreSQL that are safe to lose: the server ends the work of a client that is gone."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import psycopg
from psycopg import conninfo as libpq

from keelson.errors import UnreachableError

CHECK_INTERVAL = 1000  # ms after which the server notices that its client is gone
LOCK_TIMEOUT = 5.0  # s
ATTEMPT_TIMEOUT = 10  # s for one attempt, where the caller names none
LONGEST_PAUSE = 0.5  # s between two attempts

# Each pair: a part of libpq's or the server's message, and whether another attempt may help; the first that fits counts.
_WORTH_ANOTHER_TRY = (
    ("could not translate host name", False),
    ("certificate", False),
    ("the database system is", True),
    ("too many clients", True),
    ("remaining connection slots", True),
    ("terminating connection", True),
    ("FATAL", False),
)
_NEXT_STEPS = (
    ("password authentication failed", "check the password of this login"),
    ("no password supplied", "give the password of this login"),
    ("permission denied for database", "access is opened when the database's migrations are done"),
    ("does not exist", "check the name, or create it first"),
    ("pg_hba", "allow this login in the server's pg_hba.conf"),
    ("too many c", "raise the connection limit or close connections"),
    ("could not translate host name", "check the host's name"),
    ("certificate", "check the root certificate that the connection names"),
)


def connect(
    conninfo: str | Mapping[str, str],
    *,
    application_name: str,
    deadline: float = 20.0,
    lock_timeout: float = LOCK_TIMEOUT,
) -> psycopg.Connection:
    """Open a connection in autocommit, waiting up to `deadline` seconds for a server that is starting.

    The session looks for unqualified names in public alone (pg_catalog comes first by itself), waits `lock_timeout`
    seconds for a lock, and is ended by the server within a second of its client's death.

    Raises:
        UnreachableError: no connection within the deadline, or the server refused the login or the database.
    """
    parameters = _parameters(conninfo, application_name, lock_timeout)
    end = time.monotonic() + deadline
    pause = 0.02
    while True:
        try:
            return _attempt(parameters, end - time.monotonic())
        except psycopg.Error as fault:
            message = str(fault)
        if not _worth_another_try(message) or time.monotonic() + pause > end:
            raise UnreachableError(_sentence(parameters, message))
        time.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads attempts, no secret
        pause = min(pause * 1.5, LONGEST_PAUSE)


def connect_beside(connection: psycopg.Connection, database: str) -> psycopg.Connection:
    """Open a connection to another database of the same server with the same login."""
    info = connection.info
    parameters = info.get_parameters() | {"password": info.password, "dbname": database}
    parameters.pop("options", None)
    return connect(parameters, application_name=parameters.get("application_name", "keelson"))


def refuse_pooler(connection: psycopg.Connection) -> None:
    """Check that the connection leads to the server itself, whose session keeps locks and settings.

    Raises:
        UnreachableError: a pooler answers in its place: it told another process id than the server does.
    """
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    if row and row[0] != connection.info.backend_pid:
        msg = (
            f"{server_address(connection)} is a pooler, which may give each transaction to another session;"
            " give the address of the server itself"
        )
        raise UnreachableError(msg)


def server_address(connection: psycopg.Connection) -> str:
    """Return the server's host:port, for messages."""
    return f"{connection.info.host}:{connection.info.port}"


def _parameters(conninfo: str | Mapping[str, str], application_name: str, lock_timeout: float) -> dict[str, str]:
    if isinstance(conninfo, Mapping):
        given = dict(conninfo)
    else:
        try:
            given = {key: str(value) for key, value in libpq.conninfo_to_dict(conninfo).items() if value is not None}
        except psycopg.Error:  # its text may repeat parts of the password
            msg = "the connection string cannot be read; write it as postgresql://user@host:port/database"
            raise UnreachableError(msg) from None
    pinned = {
        "client_connection_check_interval": str(CHECK_INTERVAL),
        "lock_timeout": str(int(lock_timeout * 1000)),
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "search_path": "public",
        "datestyle": "ISO",  # psycopg reads no other
        "intervalstyle": "postgres",
    }
    options = [given.pop("options", ""), *(f"-c {name}={value}" for name, value in pinned.items())]
    return given | {
        "options": " ".join(filter(None, options)),
        "application_name": application_name,
        "client_encoding": "UTF8",
    }


def _attempt(parameters: Mapping[str, str], remaining: float) -> psycopg.Connection:
    timeout = str(max(2, min(ATTEMPT_TIMEOUT, int(remaining))))
    text = libpq.make_conninfo(**({"connect_timeout": timeout} | dict(parameters)))
    return psycopg.connect(text, autocommit=True, prepare_threshold=None)


def _worth_another_try(message: str) -> bool:
    return next((again for part, again in _WORTH_ANOTHER_TRY if part in message), True)


def _sentence(parameters: Mapping[str, str], message: str) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or "localhost"
    where = f"{host}:{parameters.get('port', '5432')}"
    user = parameters.get("user", "(the system user)")
    database = parameters.get("dbname", user)
    step = next((step for part, step in _NEXT_STEPS if part in message), "start the server or check host and port")
    return f"cannot connect to {where}, database {database!r}, as {user!r}: {_reason(message)}; {step}"


def _reason(message: str) -> str:
    """Return what the server or libpq said last, without what the sentence says already."""
    lines = [line.strip() for line in message.splitlines()]
    told = [line for line in lines if line and not line.startswith(("DETAIL:", "HINT:", "Is the server running"))]
    last = told[-1] if told else "no answer"
    for mark in ("FATAL:", "failed:"):
        last = last.rpartition(mark)[2].strip() or last
    return last
