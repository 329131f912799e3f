"""Runs the statements of one file, as the owner, in one transaction, and puts failures into one sentence."""

from __future__ import annotations

import getpass
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations import wire
from keelson.migrations.statements import Statement, analyse
from keelson.postgres.locks import advisory_lock

LARGEST_MESSAGE = 1 << 16  # characters of statements that are sent together
ATTEMPTS = 4  # at a file that others' locks stop
LOCK_DEADLINE = 60.0  # s
LOCK_KEY = 0x6D69677261746521  # "migrate!" in ASCII

# What a role's or a database's own settings would change in how a file is read, or would end in the midst of one.
_CLEAN = """
    RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; DISCARD TEMP; DISCARD SEQUENCES;
    SET search_path = public; SET client_connection_check_interval = '1s';
    SELECT set_config('lock_timeout', '5s', false) WHERE current_setting('lock_timeout') = '0';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SELECT set_config(name, value, false) FROM (VALUES ('standard_conforming_strings', 'on'), ('statement_timeout', '0'),
        ('transaction_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0')) AS pinned (name, value)
    WHERE current_setting(name, true) <> value
"""
_BEGAN = "SELECT set_config('keelson.began', extract(epoch FROM clock_timestamp())::text, false)"
BEGAN_IN_MESSAGE = sql.SQL("to_timestamp(current_setting('keelson.began')::float8)")
_HOLDERS = """
    SELECT DISTINCT a.pid, a.application_name, a.usename, extract(epoch FROM clock_timestamp() - a.xact_start)::float8
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_locks l ON l.relation = c.oid AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE c.relname = ANY (%(names)s) OR n.nspname || '.' || c.relname = ANY (%(names)s)
    ORDER BY 1
"""
_COPY_LINE = re.compile(r"\ACOPY .*?, line (\d+)")
_VALUE = re.compile(r'"[^"]*"')
_DATA_EXCEPTION = "22"  # class of SQLSTATEs whose messages quote the data
_IN_USE = "55P03"
NOTHING_KEPT = "nothing of the file was kept"
_WITHOUT_TRANSACTION = "begin the file with the line `-- keelson: no-transaction`"
_STEPS = {
    _IN_USE: "end the transaction that uses the table, or try later",
    "2D000": f"it ends transactions itself: {_WITHOUT_TRANSACTION}",
    "25001": _WITHOUT_TRANSACTION,
    "25006": "give the address of the server that takes writes, or make the database writable",
    "55P04": f"a new value of a type is of use in the next transaction: put it into a file of its own, or {_WITHOUT_TRANSACTION}",
}
_TRY_AGAIN = frozenset({_IN_USE, "40P01", "40001"})


@dataclass(frozen=True, slots=True)
class Work:
    """What all files of a run have in common.

    Attributes:
        connection: The migrator's, in autocommit.
        owner: The role that files run as, and that owns what they make; None for the login itself.
        tell: Told in a line of text what is being done.
    """

    connection: psycopg.Connection
    owner: str | None
    tell: Callable[[str], None]


class FileFailedError(MigrationError):
    """A file failed; `may_succeed_later` says whether only others' locks stood in its way, on which tables."""

    def __init__(
        self, message: str, *, may_succeed_later: bool, source: str = "", tables: Sequence[str] = (), sqlstate: str = ""
    ) -> None:
        super().__init__(message)
        self.may_succeed_later, self.source, self.tables, self.sqlstate = may_succeed_later, source, tables, sqlstate


@contextmanager
def runners_lock(
    connection: psycopg.Connection, deadline: float = LOCK_DEADLINE, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Be the only runner of migrations and seeds on a database; raises LockError where another one goes on too long."""
    what = f"migrations and seeds of database {connection.info.dbname!r}"
    with reporting(connection), advisory_lock(connection, LOCK_KEY, what, deadline, on_wait):
        yield


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


@contextmanager
def unless_lost(connection: psycopg.Connection) -> Iterator[None]:
    """Pass over what cannot be done, and need not be, where the connection is lost."""
    try:
        yield
    except psycopg.OperationalError:
        if not connection.closed:
            raise


def settings_of_session(connection: psycopg.Connection, owner: str | None) -> list[sql.Composable]:
    """Return the statements that bring a session back to where it is now, as `owner`, whatever a file has set."""
    query = "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session'"
    found = [*connection.execute(query).fetchall(), ("role", owner or "none")]
    change = sql.SQL("SET {} = {}")
    return [sql.SQL("RESET ALL"), *(change.format(sql.Identifier(name), sql.Literal(value)) for name, value in found)]


def beginning_of_file(*, is_last: bool) -> list[sql.Composable]:
    """Return the statements with which a file of a message begins; only the last one waits for the disk at its commit.

    What others have committed is there when that returns.
    """
    asynchronous = [] if is_last else [sql.SQL("SET synchronous_commit = off")]
    return [*asynchronous, sql.SQL(_BEGAN), sql.SQL("BEGIN")]


def run_file(work: Work, source: str, run: Callable[[], None]) -> None:
    """Do a file's work as the owner in one transaction; try again when only others' locks stopped it.

    Raises:
        FileFailedError: it failed, and nothing of it was kept.
    """
    connection = work.connection

    def attempt() -> None:
        clean(connection)
        with told(source), as_owner(connection, work.owner):
            run()

    try:
        insist(work, attempt)
    finally:
        with unless_lost(connection):
            clean(connection)


def insist(work: Work, run: Callable[[], None]) -> None:
    """Do work that leaves nothing where it fails; do it again when only others' locks stopped it.

    Raises:
        FileFailedError: it failed.
    """
    attempt = 1
    while True:
        try:
            run()
        except FileFailedError as fault:
            wait_or_raise(work, fault, attempt)
            attempt += 1
        else:
            return


def wait_or_raise(work: Work, fault: FileFailedError, attempt: int) -> None:
    """Wait until another attempt makes sense, and say who stood in the way; raise the fault where none does."""
    if work.connection.closed or not fault.may_succeed_later:
        raise fault
    holders = holders_of(work.connection, fault.tables)
    if attempt == ATTEMPTS:
        message = f"{fault}; {holders}" if holders else str(fault)
        raise FileFailedError(message, may_succeed_later=True, source=fault.source, tables=fault.tables) from None
    who = holders or "others hold a lock that it needs"
    work.tell(f"{fault.source}: {who}; trying again ({attempt} of {ATTEMPTS - 1})")
    time.sleep(random.uniform(0.5, 1.0) * 2 ** (attempt - 1))  # noqa: S311 - spreads attempts


def holders_of(connection: psycopg.Connection, tables: Sequence[str]) -> str:
    """Return who holds locks on tables, in words: pid, application, login and how long its transaction runs."""
    rows = connection.execute(_HOLDERS, {"names": list(tables)}).fetchall()
    named = [
        f"{application or 'a client'} (pid {pid}, login {login}{'' if age is None else f', in a transaction for {age:.0f} s'})"
        for pid, application, login, age in rows
    ]
    return f"{', '.join(named)} holds a lock on {', '.join(tables)}" if named else ""


def run_statements(connection: psycopg.Connection, statements: Iterable[Statement], source: str) -> None:
    """Run a file's statements one by one in the open transaction, deferred constraints included.

    Raises:
        FileFailedError: one failed; the sentence has file, line and SQLSTATE, and no values of rows.
    """
    for group in _groups(statements):
        if len(group) == 1:
            run_statement(connection, group[0], source)
        else:
            _run_group(connection, group, source)
    with told(source):
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _groups(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Yield statements that are sent in one message: plain ones, up to a size."""
    group: list[Statement] = []
    size = 0
    for statement in statements:
        if group and (not statement.is_plain or size > LARGEST_MESSAGE):
            yield group
            group, size = [], 0
        if statement.is_plain:
            group.append(statement)
            size += len(statement.text)
        else:
            yield [statement]
    if group:
        yield group


def _run_group(connection: psycopg.Connection, group: Sequence[Statement], source: str) -> None:
    message = wire.Message[Statement]()
    for statement in group:
        message.add(statement.text, statement)
    done = 0
    try:
        for _ in wire.send(connection, message.text()):
            done += 1
    except psycopg.Error as fault:
        raise failure(fault, source, *message.failed_after(done)) from None


def run_statement(connection: psycopg.Connection, statement: Statement, source: str, kept: str = NOTHING_KEPT) -> None:
    """Run one statement of a file; `kept` says what stays of the file where it fails; raises FileFailedError."""
    with told(source, statement, kept):
        _run(connection, statement)


@contextmanager
def told(source: str, statement: Statement | None = None, kept: str = NOTHING_KEPT) -> Iterator[None]:
    """Turn what the server says into one sentence about `source`."""
    try:
        yield
    except psycopg.Error as fault:
        raise failure(fault, source, statement, kept=kept) from None


def failure(
    fault: psycopg.Error, source: str, statement: Statement | None = None, offset: int = 0, kept: str = NOTHING_KEPT
) -> FileFailedError:
    """Return what the server says as one sentence; `offset` characters stood before the statement in what was sent."""
    again = fault.sqlstate in _TRY_AGAIN
    tables = [lock.table for lock in analyse(statement, source).locks] if again and statement else []
    text = _sentence(fault, source, (statement, offset), kept)
    return FileFailedError(text, may_succeed_later=again, source=source, tables=tables, sqlstate=fault.sqlstate or "")


@contextmanager
def reading_ledger(connection: psycopg.Connection) -> Iterator[None]:
    """Turn what the server says about the ledger into one sentence."""
    try:
        yield
    except psycopg.Error as fault:
        if fault.sqlstate is None or connection.closed:
            raise _lost(connection) from None
        msg = (
            f"the ledger of {connection.info.dbname!r} cannot be read or made as {connection.info.user!r}: "
            f"{_message(fault)} (SQLSTATE {fault.sqlstate}); {_STEPS.get(fault.sqlstate, 'check the rights of that login')}"
        )
        raise MigrationError(msg) from None


@contextmanager
def reporting(connection: psycopg.Connection) -> Iterator[None]:
    """Turn what goes wrong between files, such as a lost connection, into one sentence."""
    try:
        yield
    except psycopg.Error as fault:
        if fault.sqlstate is None or connection.closed:
            raise _lost(connection) from None
        msg = f"database {connection.info.dbname!r}: {_message(fault)} (SQLSTATE {fault.sqlstate}); correct it and run again"
        raise MigrationError(msg) from None


def _lost(connection: psycopg.Connection) -> MigrationError:
    database = connection.pgconn.db.decode()
    msg = f"the connection to database {database!r} was lost; run the command again, it goes on where the ledger ends"
    return MigrationError(msg)


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


@cache
def who() -> str:
    """Return user@machine of this process, for ledgers."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _run(connection: psycopg.Connection, statement: Statement) -> None:
    if statement.copy_data is None:
        for _ in wire.send(connection, statement.text):
            pass
        return
    with connection.cursor() as cursor, cursor.copy(statement.text) as copy:
        for block in statement.copy_data.blocks():
            copy.write(block)


def _sentence(fault: psycopg.Error, source: str, place: tuple[Statement | None, int], kept: str) -> str:
    if fault.sqlstate is None:
        return (
            f"{source}: the connection was lost while it ran; run the command again, it goes on where the ledger ends"
        )
    where = f"{source}:{_line(fault, place[0], place[1])}" if place[0] else source
    step = _STEPS.get(fault.sqlstate, "correct it and run again")
    return f"{where}: {_message(fault)} (SQLSTATE {fault.sqlstate}); {kept}; {step}"


def _line(fault: psycopg.Error, statement: Statement, offset: int) -> int:
    """Return the line of the file that the server's position or COPY's context points to."""
    copied = _COPY_LINE.match(fault.diag.context or "")
    if copied and statement.copy_data:
        return statement.copy_data.line + int(copied[1]) - 1
    position = int(fault.diag.statement_position or 0) - offset
    return statement.line + statement.text.count("\n", 0, max(position - 1, 0))


def _message(fault: psycopg.Error) -> str:
    message = " ".join((fault.diag.message_primary or "failed").split())
    return _VALUE.sub("…", message) if (fault.sqlstate or "").startswith(_DATA_EXCEPTION) else message
