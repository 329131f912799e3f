"""Erasing a person's rows: one transaction for each database, in an order that another run finishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import psycopg
from psycopg import sql

from keelson.errors import PrivacyError
from keelson.postgres import possessions
from keelson.postgres.belonging import Belonging
from keelson.postgres.locks import advisory_lock
from keelson.postgres.possessions import table_identifier
from keelson.privacy.catalog import Catalog, read_catalog
from keelson.privacy.receipts import Receipt, Receipts
from keelson.privacy.subject import Subject, refuse_faults
from keelson.settings.privacy import KEY

LOCK_KEY = 0x70726976616379  # "privacy" in ASCII
LOCK_DEADLINE = 60.0  # s
PASSES = 3

Action = Literal["delete", "anonymise", "keep"]
Opened = Sequence[tuple[Subject, psycopg.Connection]]


@dataclass(frozen=True, slots=True)
class Step:
    """What erasing does in one table, to how many rows, and why rows stay."""

    database: str
    table: str
    action: Action
    rows: int
    because: str = ""

    @property
    def is_left(self) -> bool:
        """Whether there is something to do."""
        return self.action != "keep" and self.rows > 0


@contextmanager
def opened(subjects: Sequence[Subject]) -> Iterator[Opened]:
    """Connect to all databases, the one of the accounts last; nothing is begun where one does not answer or does not fit.

    Raises:
        UnreachableError: a database does not answer.
        PrivacyError: a privacy.yaml does not fit its database.
    """
    with ExitStack() as stack:
        ordered = sorted(subjects, key=lambda subject: (subject.definition.account, subject.name))
        found = [(subject, stack.enter_context(subject.opened())) for subject in ordered]
        refuse_faults(found)
        yield found


def plan(databases: Opened, person: str) -> list[Step]:
    """Return what erasing would do now."""
    return [step for subject, connection in databases for step in _Work(subject, connection, person).plan()]


def erase(
    databases: Opened, person: str, receipts: Receipts, tell: Callable[[Step], None] = lambda _step: None
) -> Receipt:
    """Erase the person's rows in one database after the other, and return the receipt, which was kept from the start.

    Raises:
        PrivacyError: a statement failed, and nothing of that database's was kept; or rows came in meanwhile.
        LockError: somebody else erases in a database.
    """
    receipt = receipts.resume(person) or receipts.new("erase", person)
    for subject, connection in databases:
        work = _Work(subject, connection, person)
        with advisory_lock(connection, LOCK_KEY, f"erasures in {subject.name}", LOCK_DEADLINE):
            receipt.begin(subject.name, work.plan())
            done = work.erase()
            receipt.done(subject.name, done)
        for step in done:
            tell(step)
    if left := [step for step in plan(databases, person) if step.is_left]:
        msg = f"{left[0].rows} rows came into {left[0].database}, table {left[0].table}, meanwhile; disable the account and run the command again"
        raise PrivacyError(msg)
    receipt.finish()
    return receipt


def known(databases: Opened, receipts: Receipts) -> list[str]:
    """Return the ids of those whose rows are in a database although they were erased once."""
    erased = receipts.erased()
    ids = {each for subject, connection in databases for each in possessions.persons(subject.belonging, connection)}
    found = sorted(person for person in ids if receipts.mark(person) in erased)
    return [person for person in found if any(step.is_left for step in plan(databases, person))]


class _Work:
    """One person's rows in one database."""

    def __init__(self, subject: Subject, connection: psycopg.Connection, person: str) -> None:
        self.subject = subject
        self.connection = connection
        self.catalog: Catalog = read_catalog(connection)
        self.ways: Belonging = possessions.fitting(subject.belonging, connection, person)
        self.person = person

    def plan(self) -> list[Step]:
        return [self._step(table, self._count(table)) for table in self._order()]

    def erase(self) -> list[Step]:
        """Do it all, or nothing."""
        try:
            with self.connection.transaction():
                return self._passes()
        except psycopg.Error as fault:
            said = fault.diag.message_primary or str(fault)
            msg = f"{self.subject.name}: {said}; nothing of this database was erased: correct {self.subject.source} and run the command again"
            raise PrivacyError(msg) from None

    def _passes(self) -> list[Step]:
        """Go through the tables until nothing is left: triggers may note elsewhere what was erased, with its values."""
        done = [self._step(table, self._do(table)) for table in self._order()]
        for _ in range(PASSES - 1):
            if not any(step.is_left for step in self.plan()):
                break
            more = {table: self._do(table) for table in self._order() if self.subject.tables[table].erase != "keep"}
            done = [replace(step, rows=step.rows + more.get(step.table, 0)) for step in done]
        return done

    def _order(self) -> list[str]:
        """Return what is anonymised first: rows are found by others that are deleted then."""
        order = self.subject.order(self.catalog)
        return sorted(order, key=lambda table: self.subject.tables[table].erase == "delete")

    def _step(self, table: str, rows: int) -> Step:
        said = self.subject.tables[table]
        action: Action = said.erase if isinstance(said.erase, str) else "anonymise"
        return Step(self.subject.name, table, action, rows, said.because or "")

    def _count(self, table: str) -> int:
        query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table_identifier(table), self._rows(table))
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _do(self, table: str) -> int:
        erase = self.subject.tables[table].erase
        if erase == "keep":
            return self._count(table)
        if erase == "delete":
            query = sql.SQL("DELETE FROM {} WHERE {}").format(table_identifier(table), self._rows(table))
        else:
            changes = sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(column), value)
                for column, value in self._values(table).items()
            )
            query = sql.SQL("UPDATE {} SET {} WHERE {}").format(table_identifier(table), changes, self._rows(table))
        return self.connection.execute(query).rowcount

    def _rows(self, table: str) -> sql.Composed:
        """Return the condition for the person's rows; where columns are anonymised, for those that are not yet."""
        own = possessions.rows_of(self.ways, table, self.person)
        values = self._values(table)
        if not values:
            return own
        differs = sql.SQL(" OR ").join(
            sql.SQL("{0}::text IS DISTINCT FROM ({1})::text").format(sql.Identifier(column), value)
            for column, value in values.items()
        )
        return sql.SQL("{} AND ({})").format(own, differs)

    def _values(self, table: str) -> Mapping[str, sql.Composable]:
        erase = self.subject.tables[table].erase
        if isinstance(erase, str):
            return {}
        key = sql.SQL(" || '-' || ").join(
            sql.SQL("{}::text").format(sql.Identifier(column)) for column in self.catalog.key_of(table)
        )
        return {column: _value(text, key) for column, text in erase.items()}


def _value(text: str | None, key: sql.Composed) -> sql.Composable:
    if text is None or KEY not in text:
        return sql.Literal(text)
    return sql.SQL("replace({}, {}, {})").format(sql.Literal(text), sql.Literal(KEY), key)
