"""Keelson's own rules for a statement: what squawk does not look for, or not exactly enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from keelson.migrations.grammar import Node
from keelson.migrations.lint.known import Known
from keelson.migrations.lint.names import plain
from keelson.migrations.lint.reading import Parsed
from keelson.migrations.lint.types import ColumnType
from keelson.migrations.lint.work import generated, work_of
from keelson.migrations.locks import dotted, enum_name, table_name

MOST_COLUMNS = 3  # of an index


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that a statement breaks, and what of."""

    rule: str
    names: tuple[str, ...] = ()


def hits_of(statement: Parsed, known: Known) -> Iterator[Hit]:
    """Yield what a statement breaks, by what was before it."""
    if find := _RULES.get(statement.kind):
        yield from find(statement.node, known)
    for work in work_of(statement, known):
        if work.deed == "rewrites" and work.why in _REWRITTEN:
            yield Hit("table-rewrite", (work.table,))


_REWRITTEN = frozenset({"CLUSTER", "VACUUM FULL", "SET LOGGED", "SET UNLOGGED", "SET TABLESPACE", "SET ACCESS METHOD"})
_KEYS = frozenset({"CONSTR_UNIQUE", "CONSTR_PRIMARY"})


def _index(node: Node, known: Known) -> Iterator[Hit]:
    table = plain(table_name(node.relation))
    if len(node.index_params) > MOST_COLUMNS and not node.unique:
        yield Hit("index-over-many-columns", (table,))
    if node.unique and not known.is_made(table):
        yield Hit("data-dependent", (table,))


def _creation(node: Node, _known: Known) -> Iterator[Hit]:
    table = plain(table_name(node.relation))
    columns = [element.column_def for element in node.table_elts if element.WhichOneof("node") == "column_def"]
    for column in columns:
        yield from _json(table, column)
    types = {column.colname: ColumnType.of(column.type_name) for column in columns}
    keys = {column.colname for column in columns if "CONSTR_PRIMARY" in _contypes(column)}
    for element in node.table_elts:
        if enum_name(element.constraint, "contype") == "CONSTR_PRIMARY":
            keys = {key.string.sval for key in element.constraint.keys}
    if len(keys) == 1 and any(name in keys and kind.is_small for name, kind in types.items()):
        numbered = [column for column in columns if column.colname in keys and generated(column)]
        if numbered:  # a key that somebody chose, such as a year, does not grow
            yield Hit("small-primary-key", (table,))


def _change(node: Node, known: Known) -> Iterator[Hit]:
    table = plain(table_name(node.relation))
    for command in (entry.alter_table_cmd for entry in node.cmds):
        definition = getattr(command, "def")
        change = enum_name(command, "subtype")
        if change in {"AT_AddColumn", "AT_AlterColumnType"}:
            yield from _json(table, definition.column_def)
        if known.is_made(table):
            continue
        if change == "AT_AddColumn":
            yield from _added_column(table, definition.column_def)
        elif change == "AT_AddConstraint":
            yield from _added_constraint(table, definition.constraint)


def _added_column(table: str, column: Node) -> Iterator[Hit]:
    kind = generated(column)
    if kind in {"stored", "identity"}:
        yield Hit("stored-generated-column" if kind == "stored" else "auto-increment-column", (table,))
    if _KEYS & _contypes(column):
        yield Hit("disallowed-unique-constraint", (table,))


def _added_constraint(table: str, constraint: Node) -> Iterator[Hit]:
    kind = enum_name(constraint, "contype")
    if kind == "CONSTR_EXCLUSION":
        yield Hit("exclusion-constraint", (table,))
    if kind in _KEYS and not constraint.indexname:
        yield Hit("data-dependent", (table,))


def _json(table: str, column: Node) -> Iterator[Hit]:
    if ColumnType.of(column.type_name).name in {"json", "json[]"}:
        yield Hit("json-type", (table,))


def _contypes(column: Node) -> set[str]:
    return {enum_name(entry.constraint, "contype") for entry in column.constraints}


def _function(node: Node, _known: Known) -> Iterator[Hit]:
    name = plain(dotted(node.funcname))
    options = {option.def_elem.defname: option.def_elem for option in node.options if option.def_elem.defname != "set"}
    settings = {
        option.def_elem.arg.variable_set_stmt.name for option in node.options if option.def_elem.defname == "set"
    }
    if "search_path" in settings or node.HasField("sql_body"):  # such a body's names are looked up once, now
        return
    definer = "security" in options and options["security"].arg.boolean.boolval
    yield Hit("definer-search-path" if definer else "function-search-path", (name,))


_RULES: Mapping[str, Callable[[Node, Known], Iterator[Hit]]] = {
    "index_stmt": _index,
    "create_stmt": _creation,
    "alter_table_stmt": _change,
    "create_function_stmt": _function,
}
