"""Runs pending migrations: small plain files many at a time in one message, the others statement by statement.

Either way a file is one transaction with its row in the ledger, and the first failure ends the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations import session, steps, wire
from keelson.migrations.files import MigrationFile
from keelson.migrations.ledger import forget, record_sql
from keelson.migrations.parts import Part
from keelson.migrations.session import Work
from keelson.migrations.statements import Statement, refuse_outside_transactions, statements_of

LARGEST_LIGHT = 1 << 16  # bytes of a file that is sent together with others
_MOST_TOGETHER = 64  # files in one message
# A commit waits for the disk only where its transaction wrote something; it takes the earlier ones along.
_TAKE_TO_DISK = "SELECT pg_catalog.pg_logical_emit_message(true, 'keelson', '')"
_WORK_BEGAN = sql.SQL("transaction_timestamp()")


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a statement of a message is from: the file, and the file's own statement, if it is one."""

    file: MigrationFile
    statement: Statement | None = None
    ends_file: bool = False


class Runner:
    """Applies migrations on one connection, whose caller holds the lock of all runners."""

    def __init__(self, work: Work) -> None:
        self._work, self._connection, self._owner = work, work.connection, work.owner
        self._number = self._total = 0

    def run(self, files: Sequence[MigrationFile]) -> None:
        """Apply files in order.

        Raises:
            MigrationError: one failed; those before it stay.
        """
        self._total = len(files)
        session.clean(self._connection)
        for number, batch in _one_ahead(_batches(files)) if len(files) > _MOST_TOGETHER else _batches(files):
            self._number = number
            if isinstance(batch, MigrationFile):
                self._announce(batch)
                self._run_alone(batch)
            else:
                self._run_together(batch)
                session.clean(self._connection)

    def _announce(self, file: MigrationFile) -> None:
        self._number += 1
        self._work.tell(f"{self._connection.info.dbname}: {file.name} ({self._number} of {self._total})")

    def _run_alone(self, file: MigrationFile) -> None:
        file = file.opened()
        file.refuse_changed()
        if not file.transaction:
            finish = partial(self._record, file)
            steps.run(self._work, file.name, file.up, finish)
            return

        def run() -> None:
            session.run_statements(self._connection, transactional(file.up), file.source)
            session.set_owner(self._connection, self._owner)
            self._record(file, _WORK_BEGAN)

        session.run_file(self._work, file.source, run)

    def _record(self, file: MigrationFile, start: sql.Composable) -> None:
        if file.repeatable:
            forget(self._connection, file.name)
        self._connection.execute(record_sql(file, start))

    def _run_together(self, batch: list[tuple[MigrationFile, list[Statement]]]) -> None:
        attempt = 1
        self._announce(batch[0][0])
        while batch:
            try:
                self._send(batch)
            except _StoppedError as stopped:
                attempt = 1 if stopped.files_done else attempt
                batch = batch[stopped.files_done :]
                session.wait_or_raise(self._work, stopped.fault, attempt)
                attempt += 1
            else:
                return

    def _send(self, batch: list[tuple[MigrationFile, list[Statement]]]) -> None:
        """Send files in one message; raises _StoppedError where one fails."""
        message = self._message(batch)
        done = files_done = 0
        try:
            with closing(wire.send(self._connection, message.text())) as results:
                for done, _ in enumerate(results, 1):
                    if message.origins[done - 1].ends_file:
                        files_done += 1
                        if files_done < len(batch):
                            self._announce(batch[files_done][0])
        except psycopg.Error as fault:
            sent, offset = message.failed_after(done)
            failed = session.failure(fault, sent.file.source, sent.statement, offset)
            self._roll_back()
            self._take_to_disk(files_done)
            raise _StoppedError(failed, files_done) from None

    def _roll_back(self) -> None:
        with session.unless_lost(self._connection):
            self._connection.execute("ROLLBACK")
            session.clean(self._connection)

    def _take_to_disk(self, files_done: int) -> None:
        if files_done:
            with session.unless_lost(self._connection):
                self._connection.execute(_TAKE_TO_DISK)

    def _message(self, batch: list[tuple[MigrationFile, list[Statement]]]) -> wire.Message[_Sent]:
        message = wire.Message[_Sent]()
        settings = session.settings_of_session(self._connection, self._owner)
        for number, (file, statements) in enumerate(batch):
            for query in [*settings, *session.beginning_of_file(is_last=number == len(batch) - 1)]:
                message.add(self._text(query), _Sent(file))
            for statement in statements:
                message.add(statement.text, _Sent(file, statement))
            message.add(self._text(record_sql(file, session.BEGAN_IN_MESSAGE)), _Sent(file))
            message.add("COMMIT", _Sent(file, ends_file=True))
        return message

    def _text(self, query: sql.Composable) -> str:
        return query.as_string(self._connection)


class _StoppedError(Exception):
    """A message failed after some of its files."""

    def __init__(self, fault: session.FileFailedError, files_done: int) -> None:
        super().__init__(str(fault))
        self.fault, self.files_done = fault, files_done


_Batch = MigrationFile | list[tuple[MigrationFile, list[Statement]]]


def _one_ahead(batches: Iterator[tuple[int, _Batch]]) -> Iterator[tuple[int, _Batch]]:
    """Yield batches, of which each is read while the server works on the one before it."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = pool.submit(next, batches, None)
            yield batch


def _batches(files: Sequence[MigrationFile]) -> Iterator[tuple[int, _Batch]]:
    """Yield what runs next, with the number of files before it: a file alone, or light ones together.

    A file is read when those before it are through, so that a fault in it leaves them applied.
    """
    light: list[tuple[MigrationFile, list[Statement]]] = []
    size = 0
    for number, file in enumerate(files):
        try:
            statements = _light_statements(file)
        except MigrationError:
            if light:
                yield number - len(light), light
            raise
        if light and (statements is None or len(light) == _MOST_TOGETHER or size > LARGEST_LIGHT):
            yield number - len(light), light
            light, size = [], 0
        if statements is None:
            yield number, file
        else:
            light.append((file, statements))
            size += sum(len(statement.text) for statement in statements)
    if light:
        yield len(files) - len(light), light


def _light_statements(file: MigrationFile) -> list[Statement] | None:
    """Return a file's statements if it can be sent together with others."""
    if not file.transaction or file.repeatable:
        return None
    file = file.opened()
    if file.up.size() > LARGEST_LIGHT:
        return None
    file.refuse_changed()
    statements = list(statements_of(file.up))
    return statements if all(statement.is_plain for statement in statements) else None


def transactional(part: Part) -> Iterator[Statement]:
    """Yield the statements of a part that runs in a transaction; raises MigrationError at one that cannot."""
    for statement in statements_of(part):
        refuse_outside_transactions(statement, part.source)
        yield statement
