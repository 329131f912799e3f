"""What each statement of a pending file will do: the locks it takes, what it writes anew or reads, what it destroys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from keelson.migrations.lint.known import Known
from keelson.migrations.lint.names import plain
from keelson.migrations.lint.reading import Parsed
from keelson.migrations.lint.work import Work, work_of
from keelson.migrations.locks import TableLock, effects_of
from keelson.migrations.losses import losses_of

_LONGEST = 5  # words of a command
_COMMANDS = frozenset({
    "ADD", "ALTER", "ALL", "ANALYZE", "BEGIN", "CALL", "CLUSTER", "COLUMN", "COMMENT", "COMMIT", "CONCURRENTLY",
    "CONSTRAINT", "COPY", "CREATE", "DATABASE", "DEFAULT", "DELETE", "DO", "DOMAIN", "DROP", "EVENT", "EXTENSION",
    "FROM", "FUNCTION", "GRANT", "INDEX", "INSERT", "INTO", "LOCK", "MATERIALIZED", "MERGE", "OR", "POLICY",
    "PRIVILEGES", "PROCEDURE", "REFRESH", "REINDEX", "REPLACE", "REVOKE", "ROLE", "RULE", "SCHEMA", "SELECT",
    "SEQUENCE", "SET", "TABLE", "TEMP", "TEMPORARY", "TRIGGER", "TRUNCATE", "TYPE", "UNIQUE", "UNLOGGED", "UPDATE",
    "VACUUM", "VIEW", "WITH",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock on a table that is there, and about how many rows that has."""

    table: str
    mode: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """One statement, before it runs.

    Attributes:
        line: Where it begins.
        command: What it is, such as `ALTER TABLE`.
        makes: What it makes, such as `table users`.
        locks: The strongest lock on each table that was there before, the strongest first.
        work: What it does to all rows of such a table.
        destroys: What is lost for good.
    """

    line: int
    command: str
    makes: str
    locks: tuple[Lock, ...]
    work: tuple[Work, ...]
    destroys: tuple[str, ...]

    def with_rows(self, rows: Mapping[str, int]) -> StatementPlan:
        """Return the same with about how many rows the tables have."""
        return replace(
            self,
            locks=tuple(replace(lock, rows=rows.get(lock.table)) for lock in self.locks),
            work=tuple(replace(work, rows=rows.get(work.table)) for work in self.work),
        )


def plan_of(statement: Parsed, text: str, known: Known) -> StatementPlan:
    """Return what a statement will do, by what was before it; `text` is the statement's."""
    makes, locks = effects_of(statement.kind, statement.node)
    losses = losses_of(statement.kind, statement.node)
    return StatementPlan(
        line=statement.line,
        command=_command(text),
        makes=makes.rstrip(),
        locks=tuple(_strongest(locks, known)),
        work=work_of(statement, known),
        destroys=tuple(loss.what for loss in losses if not known.is_made(plain(loss.of))),
    )


def _strongest(locks: tuple[TableLock, ...], known: Known) -> Iterator[Lock]:
    found: dict[str, TableLock] = {}
    for lock in locks:
        table = plain(lock.table)
        if not known.is_made(table) and (table not in found or lock.strength > found[table].strength):
            found[table] = lock
    for table, lock in sorted(found.items(), key=lambda entry: -entry[1].strength):
        yield Lock(table, lock.mode)


def _command(text: str) -> str:
    words: list[str] = []
    for word in text[:200].split()[:_LONGEST]:
        if word.upper().rstrip("(") not in _COMMANDS:
            break
        words.append(word.upper())
    return " ".join(words) or text.split(maxsplit=1)[0].upper()
