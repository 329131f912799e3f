"""Which of squawk's findings are not worth a word, by what it cannot know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from keelson.migrations.grammar import Node
from keelson.migrations.lint.known import Known
from keelson.migrations.lint.names import plain, subjects_of
from keelson.migrations.lint.reading import Parsed
from keelson.migrations.lint.work import REWRITES, generated, volatile_default, work_of
from keelson.migrations.locks import effects_of, enum_name, table_name


def is_groundless(rule: str, statement: Parsed, known: Known, later: Sequence[Parsed]) -> bool:
    """Say whether a finding of squawk's is wrong, or said by a rule of ours; `later` are the statements after this one."""
    test = _TESTS.get(rule)
    return test is not None and test(statement, known, later)


def _commands(statement: Parsed, *kinds: str) -> Iterator[Node]:
    for entry in getattr(statement.node, "cmds", ()):
        if enum_name(entry.alter_table_cmd, "subtype") in kinds:
            yield entry.alter_table_cmd


def _no_check_is_read(statement: Parsed, _known: Known, _later: Sequence[Parsed]) -> bool:
    """Other constraints have rules of their own, which say what helps there."""
    added = [getattr(command, "def").constraint for command in _commands(statement, "AT_AddConstraint")]
    checks = [entry for entry in added if enum_name(entry, "contype") in {"CONSTR_CHECK", "CONSTR_NOTNULL"}]
    validated = any(_commands(statement, "AT_ValidateConstraint"))
    columns = [getattr(command, "def").column_def for command in _commands(statement, "AT_AddColumn")]
    with_checks = [
        item
        for entry in columns
        for item in entry.constraints
        if enum_name(item.constraint, "contype") == "CONSTR_CHECK"
    ]
    return not (validated or with_checks or [entry for entry in checks if not entry.skip_validation])


def _no_default_is_volatile(statement: Parsed, _known: Known, _later: Sequence[Parsed]) -> bool:
    columns = [getattr(command, "def").column_def for command in _commands(statement, "AT_AddColumn")]
    return not any(volatile_default(column) and not generated(column) for column in columns)


def _rows_stay(statement: Parsed, known: Known, _later: Sequence[Parsed]) -> bool:
    return not any(work.deed in REWRITES for work in work_of(statement, known))


def _is_checked(statement: Parsed, known: Known, _later: Sequence[Parsed]) -> bool:
    columns = [command.name for command in _commands(statement, "AT_SetNotNull")]
    table = plain(table_name(statement.node.relation)) if columns else ""
    return bool(columns) and all((table, column) in known.checked for column in columns)


def _is_hypertable(statement: Parsed, known: Known, _later: Sequence[Parsed]) -> bool:
    return any(name in known.hypertables for name in subjects_of(statement.kind, statement.node))


def _no_key_is_checked(statement: Parsed, _known: Known, _later: Sequence[Parsed]) -> bool:
    """A new column without a default holds nothing that a key could refer to."""
    added = [getattr(command, "def").constraint for command in _commands(statement, "AT_AddConstraint")]
    columns = [getattr(command, "def").column_def for command in _commands(statement, "AT_AddColumn")]
    kinds = [{enum_name(item.constraint, "contype") for item in column.constraints} for column in columns]
    return not any(
        enum_name(entry, "contype") == "CONSTR_FOREIGN" and not entry.skip_validation for entry in added
    ) and not any({"CONSTR_FOREIGN", "CONSTR_DEFAULT"} <= kind for kind in kinds)


def _is_added_here(statement: Parsed, known: Known, _later: Sequence[Parsed]) -> bool:
    """Nobody uses yet what pending files have added."""
    table = plain(table_name(statement.node.relation))
    if statement.kind == "rename_stmt":
        return (table, statement.node.subname) in known.added
    columns = {command.name for command in _commands(statement, "AT_DropColumn", "AT_DropNotNull")}
    return bool(columns) and all((table, column) in known.added for column in columns)


def _keeps_a_default(statement: Parsed, known: Known, later: Sequence[Parsed]) -> bool:
    """A default that is set again has not gone, nor one that only filled the rows of a new column."""
    dropped = {entry for entry in _defaults(statement) if not entry[2]}
    again = {(table, column) for one in (statement, *later) for table, column, is_set in _defaults(one) if is_set}
    return bool(dropped) and all(entry[:2] in again | known.added for entry in dropped)


def _defaults(statement: Parsed) -> Iterator[tuple[str, str, bool]]:
    """Yield the table and column of each default that is set, or dropped."""
    for command in _commands(statement, "AT_ColumnDefault"):
        yield plain(table_name(statement.node.relation)), command.name, command.HasField("def")


_NOBODY_KNOWS = frozenset(
    {"OBJECT_INDEX", "OBJECT_TABCONSTRAINT", "OBJECT_DOMCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"}
)


def _is_named_by_nobody(statement: Parsed, _known: Known, _later: Sequence[Parsed]) -> bool:
    """Programs do not name indexes, constraints, triggers and policies."""
    return statement.kind == "rename_stmt" and enum_name(statement.node, "rename_type") in _NOBODY_KNOWS


def _is_made_again(statement: Parsed, _known: Known, later: Sequence[Parsed]) -> bool:
    made = {plain(effects_of(entry.kind, entry.node)[0].rpartition(" ")[2]) for entry in later}
    return set(subjects_of(statement.kind, statement.node)) <= made


def _is_added_again(statement: Parsed, _known: Known, later: Sequence[Parsed]) -> bool:
    dropped = {command.name for command in _commands(statement, "AT_DropConstraint")}
    added = {
        getattr(command, "def").constraint.conname
        for entry in (statement, *later)
        for command in _commands(entry, "AT_AddConstraint")
    }
    return bool(dropped) and dropped <= added


_TESTS: Mapping[str, Callable[[Parsed, Known, Sequence[Parsed]], bool]] = {
    "constraint-missing-not-valid": _no_check_is_read,
    "adding-field-with-default": _no_default_is_volatile,
    "adding-foreign-key-constraint": _no_key_is_checked,
    "changing-column-type": _rows_stay,
    "renaming-column": _is_added_here,
    "ban-drop-column": _is_added_here,
    "ban-drop-default": _keeps_a_default,
    "ban-drop-not-null": _is_added_here,
    "adding-not-nullable-field": _is_checked,
    "require-concurrent-index-creation": _is_hypertable,
    "renaming-object": _is_named_by_nobody,
    "ban-drop-view": _is_made_again,
    "ban-drop-function": _is_made_again,
    "ban-drop-constraint": _is_added_again,
}
