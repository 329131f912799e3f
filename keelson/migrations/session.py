"""Runs the statements of one file, as the owner, in one transaction, and puts failures into one sentence."""

from __future__ import annotations

import getpass
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations.statements import Statement

ATTEMPTS = 4  # at a file that others' locks stop
LOCK_KEY = 0x6D69677261746521  # "migrate!" in ASCII

_CLEAN = """
    RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; DISCARD TEMP; DISCARD SEQUENCES;
    SET search_path = public; SET client_connection_check_interval = '1s';
    SELECT set_config('lock_timeout', '5s', false) WHERE current_setting('lock_timeout') = '0'
"""
_COPY_LINE = re.compile(r"\ACOPY .*?, line (\d+)")
_VALUE = re.compile(r'"[^"]*"')
_DATA_EXCEPTION = "22"  # class of SQLSTATEs whose messages quote the data
_IN_USE = "55P03"
_TRY_AGAIN = frozenset({_IN_USE, "40P01", "40001"})


class FileFailedError(MigrationError):
    """A file failed and left nothing; `may_succeed_later` says whether only others' locks stood in its way."""

    def __init__(self, message: str, *, may_succeed_later: bool) -> None:
        super().__init__(message)
        self.may_succeed_later = may_succeed_later


def clean(connection: psycopg.Connection) -> None:
    """Forget what an earlier file has set: role, search_path, settings, temporary tables."""
    connection.execute(_CLEAN)


@contextmanager
def as_owner(connection: psycopg.Connection, owner: str | None) -> Iterator[None]:
    """Run one transaction as the role `owner`."""
    with connection.transaction():
        set_owner(connection, owner)
        yield


def set_owner(connection: psycopg.Connection, owner: str | None) -> None:
    """Be the role `owner`, with the usual search_path, to the end of the transaction."""
    role = sql.SQL("SET LOCAL ROLE {};").format(sql.Identifier(owner)) if owner else sql.SQL("")
    connection.execute(
        sql.Composed([sql.SQL("RESET SESSION AUTHORIZATION;"), role, sql.SQL("SET LOCAL search_path = public")])
    )


def run_file(
    connection: psycopg.Connection,
    source: str,
    owner: str | None,
    work: Callable[[], None],
    tell: Callable[[str], None],
) -> None:
    """Do a file's work as the owner in one transaction; try again when only others' locks stopped it.

    Raises:
        FileFailedError: it failed, and nothing of it was kept.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            clean(connection)
            with told(source), as_owner(connection, owner):
                work()
        except FileFailedError as fault:
            if not fault.may_succeed_later or attempt == ATTEMPTS:
                raise
            tell(f"{source}: others hold a lock that it needs; trying again ({attempt} of {ATTEMPTS - 1})")
            time.sleep(random.uniform(0.5, 1.0) * 2 ** (attempt - 1))  # noqa: S311 - spreads attempts
        else:
            return
        finally:
            if not connection.closed:
                clean(connection)


def run_statements(connection: psycopg.Connection, statements: Iterable[Statement], source: str) -> None:
    """Run a file's statements one by one in the open transaction, deferred constraints included.

    Raises:
        FileFailedError: one failed; the sentence has file, line and SQLSTATE, and no values of rows.
    """
    for statement in statements:
        with told(source, statement):
            _run(connection, statement)
    with told(source):
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


@contextmanager
def told(source: str, statement: Statement | None = None) -> Iterator[None]:
    """Turn what the server says into one sentence about `source`."""
    try:
        yield
    except psycopg.Error as fault:
        again = fault.sqlstate in _TRY_AGAIN
        raise FileFailedError(_sentence(fault, source, statement), may_succeed_later=again) from None


@contextmanager
def reading_ledger(connection: psycopg.Connection) -> Iterator[None]:
    """Turn what the server says about the ledger into one sentence."""
    try:
        yield
    except psycopg.Error as fault:
        msg = (
            f"the ledger of {connection.info.dbname!r} cannot be read or made as {connection.info.user!r}: "
            f"{_message(fault)} (SQLSTATE {fault.sqlstate}); check the rights of that login"
        )
        raise MigrationError(msg) from None


@contextmanager
def cancel_on(connection: psycopg.Connection, event: threading.Event) -> Iterator[None]:
    """Cancel the statement that runs on the server as soon as `event` is set."""
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if event.wait(0.1):
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=5)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def who() -> str:
    """Return user@machine of this process, for ledgers."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _run(connection: psycopg.Connection, statement: Statement) -> None:
    if statement.copy_data is None:
        connection.execute(statement.text)
        return
    with connection.cursor() as cursor, cursor.copy(statement.text) as copy:
        copy.write(statement.copy_data.text)


def _sentence(fault: psycopg.Error, source: str, statement: Statement | None) -> str:
    if fault.sqlstate is None:
        return (
            f"{source}: the connection was lost while it ran; run the command again, it goes on where the ledger ends"
        )
    where = f"{source}:{_line(fault, statement)}" if statement else source
    step = (
        "end the transaction that uses the table, or try later"
        if fault.sqlstate == _IN_USE
        else "correct it and run again"
    )
    return f"{where}: {_message(fault)} (SQLSTATE {fault.sqlstate}); nothing of the file was kept; {step}"


def _line(fault: psycopg.Error, statement: Statement) -> int:
    """Return the line of the file that the server's position or COPY's context points to."""
    copied = _COPY_LINE.match(fault.diag.context or "")
    if copied and statement.copy_data:
        return statement.copy_data.line + int(copied[1]) - 1
    position = int(fault.diag.statement_position or 1)
    return statement.line + statement.text.count("\n", 0, position - 1)


def _message(fault: psycopg.Error) -> str:
    message = " ".join((fault.diag.message_primary or "failed").split())
    return _VALUE.sub("…", message) if (fault.sqlstate or "").startswith(_DATA_EXCEPTION) else message
