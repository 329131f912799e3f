"""Runs a migration that is no transaction: statement by statement, each noted when it is done, so that a retry goes on there.

A statement that can run in a transaction does, together with its note. One that cannot (CREATE INDEX CONCURRENTLY, VACUUM, a
procedure that commits) is noted before and after; what an interrupted one left is found by `leftovers`. What a statement sets
for the session is set again by a retry.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations import leftovers, session
from keelson.migrations.parts import Part, text_hash
from keelson.migrations.session import Work
from keelson.migrations.statements import Analysis, Statement, analyse, statements_of

PATIENCE = "10min"  # what CONCURRENTLY may wait for others, since nobody has to wait for it meanwhile
_TRANSACTION_IN_ITS_WAY = frozenset({"2D000", "25001"})  # SQLSTATEs of what cannot run in one, and left nothing
_FOR_SESSION = frozenset(
    {"variable_set_stmt", "prepare_stmt", "listen_stmt", "unlisten_stmt", "deallocate_stmt", "load_stmt"}
)
_AGAIN = "an earlier run was interrupted here; what it committed stays, and it runs again"
_SETS = re.compile(r"\b(set_config|pg_advisory_lock(_shared)?)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Step:
    """One statement of a file, counted from 1, and whether an earlier run began it."""

    number: int
    statement: Statement
    analysis: Analysis
    checksum: str
    was_begun: bool

    @property
    def runs_outside(self) -> bool:
        """Whether it cannot run in a transaction, or an earlier run found that it ends one."""
        return bool(self.analysis.outside) or self.was_begun

    @property
    def is_for_session(self) -> bool:
        """Whether what it does ends with the session."""
        is_set = self.analysis.kind == "select_stmt" and _SETS.search(self.statement.text)
        return bool(is_set) or self.analysis.kind in _FOR_SESSION


def run(work: Work, name: str, part: Part, finish: Callable[[sql.Composable], None]) -> None:
    """Run what is left of a part, then `finish` in one transaction with the end of its notes.

    Args:
        work: The connection, whose caller holds the lock of all runners.
        name: What identifies the part in the notes.
        part: Its SQL.
        finish: Writes the ledger; it is given the expression of the time when the work began.

    Raises:
        FileFailedError: a statement failed; those before it stay, and the next run goes on with it.
        MigrationError: a statement that is done was changed.
    """
    connection, owner = work.connection, work.owner
    steps = _read(connection, name, part)
    session.clean(connection)
    try:
        with session.told(part.source):
            connection.execute("SELECT set_config('role', %s, false)", [owner or "none"])
        for step in steps:
            _Running(work, name, part.source).run(step)
        with session.told(part.source), session.as_owner(connection, owner):
            finish(_began(name))
            connection.execute("DELETE FROM public.schema_steps WHERE file = %s", [name])
    finally:
        with session.unless_lost(connection):
            session.clean(connection)


def _began(name: str) -> sql.Composable:
    return sql.SQL("(SELECT min(started_at) FROM public.schema_steps WHERE file = {})").format(sql.Literal(name))


def _read(connection: psycopg.Connection, name: str, part: Part) -> list[_Step]:
    """Return the statements that are not done yet; all of them are looked at before any runs."""
    query = "SELECT step, checksum, ended_at IS NOT NULL FROM public.schema_steps WHERE file = %s"
    noted = {step: (checksum, is_done) for step, checksum, is_done in connection.execute(query, [name]).fetchall()}
    left = []
    for number, statement in enumerate(statements_of(part), 1):
        analysis, checksum = analyse(statement, part.source), text_hash(statement.text)
        leftovers.refuse_unnamed(statement, analysis, part.source)
        _refuse_temporary(statement, analysis, part.source)
        before, is_done = noted.pop(number, ("", False))
        if is_done and before != checksum:
            msg = (
                f"{part.source}:{statement.line}: statement {number} ran already, and the file has another one there now;"
                " put it back, and change only what comes after it"
            )
            raise MigrationError(msg)
        step = _Step(number, statement, analysis, checksum, was_begun=before == checksum and not is_done)
        if not is_done or step.is_for_session:
            left.append(step)
    if any(is_done for _, is_done in noted.values()):
        msg = f"{part.source}: statement {max(noted)} ran already, and the file has no longer so many; put it back"
        raise MigrationError(msg)
    return left


def _refuse_temporary(statement: Statement, analysis: Analysis, source: str) -> None:
    """Raise MigrationError where a statement makes what ends with the session, and a retry could not go on without."""
    if analysis.is_temporary:
        msg = (
            f"{source}:{statement.line}: a temporary table is gone when a retry goes on after it; make an ordinary one and"
            " drop it at the end, or let the file be a transaction"
        )
        raise MigrationError(msg)


class _Running:
    """Runs the steps of one file."""

    def __init__(self, work: Work, name: str, source: str) -> None:
        self._work, self._connection, self._owner = work, work.connection, work.owner
        self._name, self._source = name, source
        self._is_begun = False

    def run(self, step: _Step) -> None:
        """Run one step and note it."""
        session.insist(self._work, lambda: self._try(step))

    def _try(self, step: _Step) -> None:
        if not step.runs_outside:
            try:
                return self._inside(step)
            except session.FileFailedError as fault:
                if fault.sqlstate not in _TRANSACTION_IN_ITS_WAY:
                    raise
        return self._outside(step)

    def _inside(self, step: _Step) -> None:
        with session.told(self._source, step.statement, _kept(step)), self._connection.transaction():
            session.run_statement(self._connection, step.statement, self._source, _kept(step))
            self._note(step, "now()", "clock_timestamp()")

    def _outside(self, step: _Step) -> None:
        with session.told(self._source, step.statement, _kept(step)):
            look = leftovers.look(self._connection, step.analysis, was_begun=step.was_begun or self._is_begun)
            if said := look.said or (_AGAIN if step.was_begun and not step.analysis.outside else ""):
                self._work.tell(f"{self._source}:{step.statement.line}: {said}")
            self._note(step, "clock_timestamp()", "NULL")
            self._is_begun = True
            if not look.is_done:
                self._run_patiently(step, look.instead)
            self._note(step, "clock_timestamp()", "clock_timestamp()")

    def _run_patiently(self, step: _Step, instead: str | None) -> None:
        statement = Statement(instead, step.statement.line) if instead else step.statement
        query = "SELECT set_config('lock_timeout', CASE current_setting('lock_timeout') WHEN '5s' THEN %s ELSE current_setting('lock_timeout') END, false)"
        self._connection.execute(query, [PATIENCE])
        try:
            session.run_statement(self._connection, statement, self._source, _kept(step))
        except session.FileFailedError as fault:
            left = "" if self._connection.closed else leftovers.left_by(self._connection, step.analysis)
            if not left:
                raise
            message = f"{fault}; it left {left}, which the next run removes"
            raise session.FileFailedError(
                message, may_succeed_later=fault.may_succeed_later, source=fault.source, tables=fault.tables
            ) from None
        self._connection.execute(
            "SELECT set_config('lock_timeout', '5s', false) WHERE current_setting('lock_timeout') = %s", [PATIENCE]
        )

    def _note(self, step: _Step, started: str, ended: str) -> None:
        query = sql.SQL("""
            INSERT INTO public.schema_steps (file, step, checksum, started_at, ended_at) VALUES (%s, %s, %s, {}, {})
            ON CONFLICT (file, step) DO UPDATE SET (checksum, ended_at) = (EXCLUDED.checksum, EXCLUDED.ended_at)
        """)
        times = [sql.SQL(started), sql.SQL(ended)]
        with self._connection.transaction():  # and as the owner, whoever the file has become
            if self._owner:
                self._connection.execute("SELECT set_config('role', %s, true)", [self._owner])
            self._connection.execute(query.format(*times), [self._name, step.number, step.checksum])


def _kept(step: _Step) -> str:
    if step.number == 1:
        return "nothing of the file is done"
    done = "statement 1 is done" if step.number == 2 else f"statements 1 to {step.number - 1} are done"  # noqa: PLR2004
    return f"{done}, and the next run goes on here"
