"""A migration in one line, for a preview: what it makes and what it locks. Opens no connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from keelson.migrations.files import MigrationFile
from keelson.migrations.locks import TableLock
from keelson.migrations.statements import Statement, split

MOST_NAMES = 3
_NAMED = ("table", "materialized view", "view", "schema")
_PLURALS = {"index": "indexes", "policy": "policies"}


def describe(file: MigrationFile) -> str:
    """Return what a migration makes, and the strongest lock that it takes on each table that was there before.

    Raises:
        MigrationError: the file is no SQL, or changed since its directory was read.
    """
    statements = split(file.text(), file.source)
    made = [statement.creates for statement in statements if statement.creates]
    parts = [*_creations(made), *_locks(statements, made)]
    return "; ".join(parts) or _counted(len(statements), "statement")


def _creations(made: list[str]) -> Iterable[str]:
    by_noun: dict[str, list[str]] = defaultdict(list)
    for entry in made:
        noun, _, name = entry.rpartition(" ")
        by_noun[noun].append(name)
    phrases = [_phrase(noun, names) for noun, names in by_noun.items()]
    return [f"creates {', '.join(phrases)}"] if phrases else []


def _phrase(noun: str, names: list[str]) -> str:
    if noun not in _NAMED:
        return _counted(len(names), noun)
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"{noun if len(names) == 1 else _plural(noun)} {listed}"


def _locks(statements: Iterable[Statement], made: list[str]) -> Iterable[str]:
    """Return `COMMAND table: MODE` for the strongest lock on each table that the migration does not make itself."""
    own = {entry.rpartition(" ")[2] for entry in made}
    strongest: dict[str, TableLock] = {}
    for lock in (lock for statement in statements for lock in statement.locks):
        if lock.table not in own and lock.strength > getattr(strongest.get(lock.table), "strength", -1):
            strongest[lock.table] = lock
    ordered = sorted(strongest.values(), key=lambda lock: -lock.strength)
    shown = [f"{lock.command} {lock.table}: {lock.mode}" for lock in ordered[:MOST_NAMES]]
    rest = len(ordered) - MOST_NAMES
    return [*shown, f"locks {_counted(rest, 'more table')}"] if rest > 0 else shown


def _counted(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {_plural(noun)}"


def _plural(noun: str) -> str:
    return _PLURALS.get(noun, f"{noun}s")
