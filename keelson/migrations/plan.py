"""A file in one line, for a preview: what it destroys, makes and locks. Opens no connection.

The line's parts are separated by `; `. What destroys stands first and begins with `DESTRUCTIVE: `, so that readers of a
preview see it and programs find it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from keelson.migrations.files import MigrationFile
from keelson.migrations.locks import TableLock
from keelson.migrations.statements import Statement, split

DESTRUCTIVE = "DESTRUCTIVE: "
RUNS_CODE = "runs code that a preview does not look into: "
SEPARATOR = "; "
MOST_NAMES = 3
MOST_LOSSES = 20
_CODE = {"do_stmt": "DO", "call_stmt": "CALL"}
_NAMED = ("table", "materialized view", "view", "schema")
_PLURALS = {"index": "indexes", "policy": "policies"}


def describe(file: MigrationFile) -> str:
    """Return what a migration destroys and makes, and the strongest lock that it takes on each table that was there before.

    Raises:
        MigrationError: the file is no SQL, or changed since its directory was read.
    """
    return describe_text(file.text(), file.source)


def describe_text(text: str, source: str) -> str:
    """Return the same of a text; `source` names it in messages.

    Raises:
        MigrationError: the text is no SQL.
    """
    statements = split(text, source)
    made = [statement.creates for statement in statements if statement.creates]
    parts = [*_losses(statements), *_creations(made), *_locks(statements, made), *_code(statements)]
    return SEPARATOR.join(_one_line(part) for part in parts) or _counted(len(statements), "statement")


def losses_in(plan: str) -> str:
    """Return what a plan destroys, in words; nothing where it destroys nothing."""
    first = plan.split(SEPARATOR, 1)[0]
    return first.removeprefix(DESTRUCTIVE) if first.startswith(DESTRUCTIVE) else ""


def code_in(plan: str) -> str:
    """Return the commands of a plan whose effects are not known before they run; nothing where there is none."""
    parts = [part for part in plan.split(SEPARATOR) if part.startswith(RUNS_CODE)]
    return parts[-1].removeprefix(RUNS_CODE) if parts else ""


def _losses(statements: Iterable[Statement]) -> Iterable[str]:
    """Return what is lost of objects that the file itself has not made before."""
    own: set[str] = set()
    found: list[str] = []
    for statement in statements:
        found += [loss.what for loss in statement.losses if loss.of not in own]
        own.add(statement.creates.rpartition(" ")[2])
    shown, rest = found[:MOST_LOSSES], len(found) - MOST_LOSSES
    more = [f"{rest} more"] if rest > 0 else []
    return [DESTRUCTIVE + ", ".join([*shown, *more])] if found else []


def _code(statements: Iterable[Statement]) -> Iterable[str]:
    found = dict.fromkeys(_CODE[statement.kind] for statement in statements if statement.kind in _CODE)
    return [RUNS_CODE + ", ".join(found)] if found else []


def _one_line(text: str) -> str:
    """A quoted name may hold anything."""
    return " ".join(text.replace(SEPARATOR.strip(), ",").split())


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
