"""Looks at migration files that have not run yet, by squawk's rules and Keelson's own. Opens no connection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from keelson.errors import MigrationError
from keelson.migrations.files import MigrationFile
from keelson.migrations.grammar import Node
from keelson.migrations.lint import own, squawk, timescale
from keelson.migrations.lint.exceptions import Allowed, exceptions_in
from keelson.migrations.lint.filters import is_groundless
from keelson.migrations.lint.foreseen import StatementPlan, plan_of
from keelson.migrations.lint.known import Known
from keelson.migrations.lint.names import plain, subjects_of
from keelson.migrations.lint.reading import Parsed, Reading, read
from keelson.migrations.lint.rules import OF_SQUAWK, RULES, Severity, severity_of, suggestion
from keelson.migrations.locks import MODES, effects_of, enum_name, table_name
from keelson.migrations.statements import outside_transactions

_HOLDS_UP = MODES.index("SHARE")  # the weakest lock that keeps others from writing


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are to run, as far as that decides what is wrong with them.

    Attributes:
        protected: Whether its environment is: then dangers are errors.
        chosen: The severities that settings name.
        edition: TimescaleDB's, `apache` or `community`; empty where nobody knows.
        version: PostgreSQL's.
        compressed: Hypertables whose chunks timescale.yaml compresses.
    """

    protected: bool = True
    chosen: Mapping[str, Severity] = field(default_factory=dict)
    edition: str = ""
    version: str = "17"
    compressed: tuple[str, ...] = ()

    def severity(self, rule: str) -> Severity:
        """Return how a rule's findings count here."""
        return severity_of(RULES[rule], protected=self.protected, chosen=self.chosen)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a place of a file, and what to do instead."""

    file: str
    source: str
    line: int
    severity: Severity
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.severity} {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Broken:
    """A rule that is broken, before anybody asked how much that counts."""

    rule: str
    line: int
    names: tuple[str, ...] = ()
    statement: Parsed | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a pending file will do, and what is wrong with it.

    Attributes:
        file: Its name.
        source: Its path relative to the project.
        transaction: Whether it runs in one transaction.
        reversible: Whether it has an undo; what is destroyed no undo brings back.
        statements: What each of its statements will do.
        findings: What the linter says.
    """

    file: str
    source: str
    transaction: bool
    reversible: bool
    statements: tuple[StatementPlan, ...]
    findings: tuple[Finding, ...]


def lint(pending: Sequence[MigrationFile], earlier: Sequence[MigrationFile], place: Place) -> tuple[Finding, ...]:
    """Return what is wrong with the pending files, in the order in which they stand; raises as `foresee` does."""
    return tuple(finding for file in foresee(pending, earlier, place) for finding in file.findings)


def lint_each(files: Sequence[MigrationFile], place: Place) -> tuple[Finding, ...]:
    """Return what is wrong with each file, as if those before it had run; raises as `foresee` does."""
    return tuple(finding for file in _foresee(files, (), place, apart=True) for finding in file.findings)


def foresee(pending: Sequence[MigrationFile], earlier: Sequence[MigrationFile], place: Place) -> tuple[Foreseen, ...]:
    """Return what the pending files will do and what is wrong with them, in order; `earlier` have run already.

    Raises:
        MigrationError: a pending file is no SQL.
        PlatformError: squawk is missing, or does not work.
    """
    return _foresee(pending, earlier, place)


def _foresee(
    pending: Sequence[MigrationFile], earlier: Sequence[MigrationFile], place: Place, *, apart: bool = False
) -> tuple[Foreseen, ...]:
    """Do what `foresee` says; `apart` lets each file find what the one before made in use."""
    readings = [read(file.up, transaction=file.transaction) for file in pending]
    known = learnt_from(earlier, readings)
    known.compressed.update(place.compressed)
    rules = [rule for rule in OF_SQUAWK if place.severity(rule) != "off"]
    seen = squawk.look(readings, rules, place.version)
    walked = []
    for reading, found in zip(readings, seen, strict=True):
        if apart:
            known.settle()
        walked.append(_walk(reading, found, known, place))
    return tuple(
        Foreseen(
            file=file.name,
            source=file.source,
            transaction=file.transaction,
            reversible=file.undo is not None,
            statements=tuple(plans),
            findings=tuple(_findings(file, [*broken, *_unprotected(reading, known)], reading, place)),
        )
        for file, reading, (broken, plans) in zip(pending, readings, walked, strict=True)
    )


def refuse_errors(database: str, foreseen: Iterable[Foreseen]) -> None:
    """Raise MigrationError with the first error and what to do, where there is one."""
    errors = [finding for file in foreseen for finding in file.findings if finding.severity == "error"]
    if not errors:
        return
    first, rest = errors[0], len(errors) - 1
    step = "correct it"
    if RULES[first.rule].level != "fault":
        step += f", or put `-- keelson: allow {first.rule}: …` before the statement, with the reason"
    more = f" (and {rest} more; `keelson migrate lint {database}` lists them)" if rest else ""
    msg = f"{first.source}:{first.line}: {first.rule}: {first.message}; {step}{more}"
    raise MigrationError(msg)


def learnt_from(earlier: Iterable[MigrationFile], readings: Iterable[Reading]) -> Known:
    """Return what files that ran already say of the tables that others are about."""
    known = Known()
    names = {
        name.rpartition(".")[2]
        for reading in readings
        for statement in reading.statements
        for name in subjects_of(statement.kind, statement.node)
    }
    words = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\b")
    for file in earlier if names else ():
        for statement in _ran(file, words):
            known.learn(statement, pending=False)
    return known


def _ran(file: MigrationFile, words: re.Pattern[str]) -> tuple[Parsed, ...]:
    """Return a file's statements if it has one of these words; one that cannot be read any more has run all the same."""
    try:
        part = file.up.opened()
        return read(part).statements if words.search(part.text()) else ()
    except MigrationError:
        return ()


def _broken(reading: Reading, entry: squawk.Found) -> _Broken:
    statement = reading.statement_at(entry.line, entry.column)
    names = subjects_of(statement.kind, statement.node) if statement else ()
    rule = "not-linted" if entry.rule == squawk.UNREAD else entry.rule
    return _Broken(rule, entry.line + 1, names, statement)


def _walk(
    reading: Reading, seen: Sequence[squawk.Found], known: Known, place: Place
) -> tuple[list[_Broken], list[StatementPlan]]:
    """Go through a file's statements, learning what each makes; return what is broken, and what each will do."""
    found = [_broken(reading, entry) for entry in seen if entry.rule in {*OF_SQUAWK, squawk.UNREAD}]
    broken = [entry for entry in found if entry.statement is None]
    if not reading.is_whole:
        broken.append(_Broken("not-linted", 1))
    encoded, plans, is_locked = reading.text.encode(), [], False
    for number, statement in enumerate(reading.statements):
        later = reading.statements[number + 1 :]
        said = [
            entry
            for entry in found
            if entry.statement is statement and not is_groundless(entry.rule, statement, known, later)
        ]
        said += _own(statement, reading, known, place, is_locked=is_locked)
        is_new = known.is_new(statement)
        broken += [entry for entry in said if not (is_new and RULES[entry.rule].old_only)]
        plans.append(plan_of(statement, encoded[statement.start : statement.end].decode(), known))
        is_locked = is_locked or (reading.transaction and _holds_up(statement, known))
        known.learn(statement, pending=True)
    return broken, plans


def _own(statement: Parsed, reading: Reading, known: Known, place: Place, *, is_locked: bool) -> Iterator[_Broken]:
    """Yield which of our own rules a statement breaks; `is_locked` says that locks of earlier ones are held."""
    yield from (
        _Broken(hit.rule, statement.line, hit.names, statement)
        for hit in (
            *own.hits_of(statement, known),
            *timescale.hits_of(statement, known, place.edition, transaction=reading.transaction),
        )
    )
    if reading.transaction and outside_transactions(statement.kind, statement.node):
        yield _Broken("needs-no-transaction", statement.line, (), statement)
    if is_locked and _fills(statement):
        names = subjects_of(statement.kind, statement.node)
        yield _Broken("backfill-in-transaction", statement.line, names, statement)


def _holds_up(statement: Parsed, known: Known) -> bool:
    """Say whether a statement keeps others from writing to a table that was there."""
    _, locks = effects_of(statement.kind, statement.node)
    return any(lock.strength >= _HOLDS_UP and not known.is_made(plain(lock.table)) for lock in locks)


def _fills(statement: Parsed) -> bool:
    """Say whether a statement changes many rows: all but those whose key it names."""
    return statement.kind in {"update_stmt", "delete_stmt", "merge_stmt"} and not _names_rows(statement.node)


def _names_rows(node: Node) -> bool:
    """Say whether WHERE compares a column with a constant, or with a list of them."""
    condition = getattr(node, "where_clause", None)
    if condition is None:
        return False
    parts = condition.bool_expr.args if enum_name(condition.bool_expr, "boolop") == "AND_EXPR" else [condition]
    return any(_is_key(part.a_expr) for part in parts)


def _is_key(comparison: Node) -> bool:
    operator = comparison.name[0].string.sval if comparison.name else ""
    kind = enum_name(comparison, "kind")
    values = comparison.rexpr.list.items or [comparison.rexpr]
    constant = all(
        (value.type_cast.arg if value.HasField("type_cast") else value).HasField("a_const") for value in values
    )
    return operator == "=" and kind in {"AEXPR_OP", "AEXPR_IN"} and constant and comparison.lexpr.HasField("column_ref")


def _table(node: Node) -> str:
    return plain(table_name(node.relation))


def _unprotected(reading: Reading, known: Known) -> Iterator[_Broken]:
    """Yield what is half done about row level security, by what all files make."""
    for statement in reading.statements:
        if statement.kind == "create_policy_stmt":
            table = plain(table_name(statement.node.table))
            if table not in known.secured:
                yield _Broken("policy-without-row-security", statement.line, (table,), statement)
        elif statement.kind == "alter_table_stmt":
            changes = {enum_name(entry.alter_table_cmd, "subtype") for entry in statement.node.cmds}
            if "AT_EnableRowSecurity" in changes and _table(statement.node) not in known.with_policies:
                yield _Broken("row-security-without-policy", statement.line, (_table(statement.node),), statement)


def _findings(file: MigrationFile, broken: Sequence[_Broken], reading: Reading, place: Place) -> Iterator[Finding]:
    exceptions = list(exceptions_in(reading))
    kept = [entry for entry in broken if place.severity(entry.rule) != "off"]
    kept = [entry for entry in kept if not any([one.covers(entry.rule, entry.statement) for one in exceptions])]  # noqa: C419
    kept += _wrong(exceptions, place)
    for entry in sorted(dict.fromkeys(kept), key=lambda entry: (entry.line, entry.rule)):
        message = entry.message or RULES[entry.rule].about(entry.names)
        yield Finding(file.name, file.source, entry.line, place.severity(entry.rule), entry.rule, message)


def _wrong(exceptions: Iterable[Allowed], place: Place) -> Iterator[_Broken]:
    for one in exceptions:
        if not one.rules or not one.reason:
            yield _Broken("allow-without-reason", one.line)
        for rule in one.rules:
            if rule not in RULES:
                message = f"`keelson: allow` names {rule!r}, which is no rule; {suggestion(rule)}"
                yield _Broken("allow-unknown-rule", one.line, message=message)
            elif rule not in one.used and place.severity(rule) != "off":
                message = f"`keelson: allow {rule}` allows nothing; take it out"
                yield _Broken("unused-allow", one.line, message=message)
