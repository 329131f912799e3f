"""A file in one line, for a preview: what it destroys, makes and locks. Opens no connection.

The line's parts are separated by `; `. What destroys stands first and begins with `DESTRUCTIVE: `, so that readers of a
preview see it and programs find it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from keelson.migrations.files import MigrationFile
from keelson.migrations.locks import TableLock
from keelson.migrations.parts import Part
from keelson.migrations.statements import Analysis, analyse, refuse_outside_transactions, statements_of
from keelson.wording import counted, plural

if TYPE_CHECKING:
    from keelson.migrations.lint import Foreseen
    from keelson.migrations.lint.foreseen import StatementPlan
    from keelson.migrations.lint.work import Work

DESTRUCTIVE = "DESTRUCTIVE: "
WARNS = "warning: "
RUNS_CODE = "runs code that a preview does not look into: "
SEPARATOR = "; "
MOST_NAMES = 3
MOST_LOSSES = 20
_CODE = {"do_stmt": "DO", "call_stmt": "CALL"}
_NAMED = ("table", "materialized view", "view", "schema")


def describe(file: MigrationFile, foreseen: Foreseen | None = None) -> str:
    """Return what a migration destroys and makes, and the strongest lock that it takes on each table that was there before.

    What is `foreseen` of the file adds which tables it writes anew or reads, and the warnings of the linter.

    Raises:
        MigrationError: the file is no SQL, or changed since its directory was read.
    """
    file = file.opened()
    file.refuse_changed()
    return _describe(file.up, foreseen)


def describe_text(text: str, source: str) -> str:
    """Return the same of a text; `source` names it in messages.

    Raises:
        MigrationError: the text is no SQL.
    """
    return _describe(Part(Path(source), source, written=text))


def _describe(part: Part, foreseen: Foreseen | None = None) -> str:
    transaction = part.facts().transaction
    seen = []
    for statement in statements_of(part):
        analysis = analyse(statement, part.source)
        if transaction:
            refuse_outside_transactions(statement, part.source)
        seen.append(analysis)
    made = [analysis.creates for analysis in seen if analysis.creates]
    parts = [*_losses(seen), *_creations(made), *_locks(seen, made), *_code(seen), *_added(foreseen)]
    return SEPARATOR.join(_one_line(part) for part in parts) or counted(len(seen), "statement")


def _added(foreseen: Foreseen | None) -> Iterable[str]:
    if foreseen is None:
        return []
    work = dict.fromkeys(
        str(work) for statement in foreseen.statements for work in statement.work if _is_told(work, statement)
    )
    warnings = [f"{WARNS}{finding.rule} in line {finding.line}" for finding in foreseen.findings]
    undo = [] if foreseen.reversible else ["no undo"]
    return [*_few(list(work), "table to work on"), *undo, *_few(warnings, "warning")]


def _is_told(work: Work, statement: StatementPlan) -> bool:
    """What changes rows, and the reading for an index, say the locks already."""
    return work.deed != "changes rows of" and not statement.command.startswith(("CREATE", "REINDEX"))


def _few(parts: list[str], noun: str) -> list[str]:
    rest = len(parts) - MOST_NAMES
    return [*parts[:MOST_NAMES], counted(rest, f"more {noun}")] if rest > 0 else parts


def losses_in(plan: str) -> str:
    """Return what a plan destroys, in words; nothing where it destroys nothing."""
    first = plan.split(SEPARATOR, 1)[0]
    return first.removeprefix(DESTRUCTIVE) if first.startswith(DESTRUCTIVE) else ""


def warnings_in(plan: str) -> list[str]:
    """Return what the linter warns of in a plan, such as `json-type in line 3`."""
    found = [part.removeprefix(WARNS) for part in plan.split(SEPARATOR) if part.startswith(WARNS)]
    more = [part for part in plan.split(SEPARATOR) if part.endswith((" more warning", " more warnings"))]
    return [*found, *more]


def code_in(plan: str) -> str:
    """Return the commands of a plan whose effects are not known before they run; nothing where there is none."""
    parts = [part for part in plan.split(SEPARATOR) if part.startswith(RUNS_CODE)]
    return parts[-1].removeprefix(RUNS_CODE) if parts else ""


def _losses(statements: Iterable[Analysis]) -> Iterable[str]:
    """Return what is lost of objects that the file itself has not made before."""
    own: set[str] = set()
    found: list[str] = []
    for statement in statements:
        found += [loss.what for loss in statement.losses if loss.of not in own]
        own.add(statement.creates.rpartition(" ")[2])
    shown, rest = found[:MOST_LOSSES], len(found) - MOST_LOSSES
    more = [f"{rest} more"] if rest > 0 else []
    return [DESTRUCTIVE + ", ".join([*shown, *more])] if found else []


def _code(statements: Iterable[Analysis]) -> Iterable[str]:
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
        return counted(len(names), noun)
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"{noun if len(names) == 1 else plural(noun)} {listed}"


def _locks(statements: Iterable[Analysis], made: list[str]) -> Iterable[str]:
    """Return `COMMAND table: MODE` for the strongest lock on each table that the migration does not make itself."""
    own = {entry.rpartition(" ")[2] for entry in made}
    strongest: dict[str, TableLock] = {}
    for lock in (lock for statement in statements for lock in statement.locks):
        if lock.table not in own and lock.strength > getattr(strongest.get(lock.table), "strength", -1):
            strongest[lock.table] = lock
    ordered = sorted(strongest.values(), key=lambda lock: -lock.strength)
    shown = [f"{lock.command} {lock.table}: {lock.mode}" for lock in ordered[:MOST_NAMES]]
    rest = len(ordered) - MOST_NAMES
    return [*shown, f"locks {counted(rest, 'more table')}"] if rest > 0 else shown
