"""What a statement does to all rows of a table that is there: writes them anew, reads them, or changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from keelson.migrations.grammar import Node
from keelson.migrations.lint.calls import calls_in
from keelson.migrations.lint.known import Known
from keelson.migrations.lint.names import plain
from keelson.migrations.lint.reading import Parsed
from keelson.migrations.lint.types import ColumnType
from keelson.migrations.locks import enum_name, table_name

Deed = Literal["rewrites", "may rewrite", "scans", "changes rows of"]

REWRITES: tuple[Deed, ...] = ("rewrites", "may rewrite")


@dataclass(frozen=True, slots=True)
class Work:
    """One deed on all rows of a table, what asks for it, and about how many rows there are."""

    deed: Deed
    table: str
    why: str
    rows: int | None = None

    def __str__(self) -> str:
        return f"{self.deed} {self.table} ({self.why})"


def work_of(statement: Parsed, known: Known) -> tuple[Work, ...]:
    """Return what a statement does to tables that were there before; `known` is what was before it."""
    found = list(_WORK[statement.kind](statement.node, known)) if statement.kind in _WORK else []
    for call in calls_in(statement):
        if call.name == "create_hypertable" and call.says("migrate_data"):
            found.append(Work("rewrites", plain(call.text(0, "relation", "main_table")), "its rows move into chunks"))
    return tuple(dict.fromkeys(work for work in found if not known.is_made(work.table)))


def volatile_default(column: Node) -> bool:
    """Say whether a column's default differs from row to row."""
    defaults = [entry.constraint.raw_expr for entry in column.constraints if _contype(entry) == "CONSTR_DEFAULT"]
    return any(_is_volatile(default) for default in defaults)


def generated(column: Node) -> str:
    """Return how a column is generated: `stored`, `virtual`, `identity`, or not at all."""
    for entry in column.constraints:
        kind = _contype(entry)
        if kind == "CONSTR_IDENTITY":
            return "identity"
        if kind == "CONSTR_GENERATED":
            return "virtual" if entry.constraint.generated_kind == "v" else "stored"
    return "identity" if ColumnType.of(column.type_name).is_serial else ""


# Functions that give all rows of a statement the same, where their arguments do.
_STEADY = frozenset({
    "array", "coalesce", "concat", "current_database", "current_schema", "current_setting", "current_user", "date_trunc", "format",
    "json_build_array", "json_build_object", "jsonb_build_array", "jsonb_build_object", "length", "lower", "make_date",
    "make_interval", "md5", "now", "pg_backend_pid", "pg_my_temp_schema", "quote_ident", "round", "session_user",
    "statement_timestamp", "timezone", "to_char", "to_date", "to_timestamp", "transaction_timestamp", "upper",
})  # fmt: skip


def _is_volatile(expression: Node) -> bool:
    """Look for a call of a function of which it is not known that it gives all rows the same."""
    kind = expression.WhichOneof("node")
    if kind == "func_call":
        call = expression.func_call
        return call.funcname[-1].string.sval not in _STEADY or any(_is_volatile(item) for item in call.args)
    if kind == "type_cast":
        return _is_volatile(expression.type_cast.arg)
    if kind == "a_expr":
        return _is_volatile(expression.a_expr.lexpr) or _is_volatile(expression.a_expr.rexpr)
    if kind == "coalesce_expr":
        return any(_is_volatile(item) for item in expression.coalesce_expr.args)
    return False


def _contype(entry: Node) -> str:
    return enum_name(entry.constraint, "contype")


def _change(node: Node, known: Known) -> Iterator[Work]:
    if enum_name(node, "objtype") not in {"OBJECT_TABLE", "OBJECT_MATVIEW"}:
        return
    table = plain(table_name(node.relation))
    for command in (entry.alter_table_cmd for entry in node.cmds):
        change = enum_name(command, "subtype")
        if change in _CHANGES:
            yield from _CHANGES[change](table, command, known)
        elif change in _ANEW:
            yield Work("rewrites", table, _ANEW[change])


_ANEW = {
    "AT_SetLogged": "SET LOGGED",
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_SetTableSpace": "SET TABLESPACE",
    "AT_SetAccessMethod": "SET ACCESS METHOD",
}
_GENERATED = {"stored": "a stored generated column", "identity": "a column that numbers the rows"}


def _added_column(table: str, command: Node, _known: Known) -> Iterator[Work]:
    column = getattr(command, "def").column_def
    kind = generated(column)
    if kind in _GENERATED:
        yield Work("rewrites", table, f"{_GENERATED[kind]}, {column.colname}")
    elif volatile_default(column):
        yield Work("rewrites", table, f"the default of {column.colname} differs from row to row")
    for entry in column.constraints:
        what = {"CONSTR_CHECK": "CHECK", "CONSTR_UNIQUE": "UNIQUE", "CONSTR_PRIMARY": "PRIMARY KEY"}.get(
            _contype(entry)
        )
        if what:
            yield Work("scans", table, f"{what} of {column.colname}")
    if {"CONSTR_FOREIGN", "CONSTR_DEFAULT"} <= {_contype(entry) for entry in column.constraints}:
        yield Work("scans", table, f"FOREIGN KEY of {column.colname}")


def _changed_type(table: str, command: Node, known: Known) -> Iterator[Work]:
    definition = getattr(command, "def").column_def
    new, old = ColumnType.of(definition.type_name), known.columns.get((table, command.name))
    if definition.HasField("raw_default"):
        yield Work("rewrites", table, f"{command.name} becomes {new} by USING")
    elif old is None:
        yield Work("may rewrite", table, f"{command.name} becomes {new}")
    elif not old.becomes(new):
        yield Work("rewrites", table, f"{command.name} becomes {new}")


def _set_not_null(table: str, command: Node, known: Known) -> Iterator[Work]:
    if (table, command.name) not in known.checked:
        yield Work("scans", table, f"SET NOT NULL of {command.name}")


_CONSTRAINTS = {
    "CONSTR_CHECK": "CHECK",
    "CONSTR_FOREIGN": "FOREIGN KEY",
    "CONSTR_UNIQUE": "UNIQUE",
    "CONSTR_PRIMARY": "PRIMARY KEY",
    "CONSTR_EXCLUSION": "EXCLUDE",
    "CONSTR_NOTNULL": "NOT NULL",
}


def _added_constraint(table: str, command: Node, _known: Known) -> Iterator[Work]:
    constraint = getattr(command, "def").constraint
    kind = enum_name(constraint, "contype")
    if kind in _CONSTRAINTS and not constraint.skip_validation and not constraint.indexname:
        yield Work("scans", table, f"{_CONSTRAINTS[kind]} {constraint.conname}".rstrip())


def _validated(table: str, command: Node, _known: Known) -> Iterator[Work]:
    yield Work("scans", table, f"VALIDATE CONSTRAINT {command.name}")


def _attached(_table: str, command: Node, _known: Known) -> Iterator[Work]:
    name = plain(table_name(getattr(command, "def").partition_cmd.name))
    yield Work("scans", name, "ATTACH PARTITION")


_CHANGES: Mapping[str, Callable[[str, Node, Known], Iterator[Work]]] = {
    "AT_AddColumn": _added_column,
    "AT_AlterColumnType": _changed_type,
    "AT_SetNotNull": _set_not_null,
    "AT_AddConstraint": _added_constraint,
    "AT_ValidateConstraint": _validated,
    "AT_AttachPartition": _attached,
}


def _index(node: Node, _known: Known) -> Iterator[Work]:
    yield Work("scans", plain(table_name(node.relation)), f"CREATE INDEX {node.idxname}".rstrip())


def _cluster(node: Node, _known: Known) -> Iterator[Work]:
    if node.relation.relname:
        yield Work("rewrites", plain(table_name(node.relation)), "CLUSTER")


def _vacuum(node: Node, _known: Known) -> Iterator[Work]:
    full = any(option.def_elem.defname == "full" for option in node.options)
    deed: Deed = "rewrites" if full else "scans"
    what = "VACUUM FULL" if full else "VACUUM" if node.is_vacuumcmd else ""
    for entry in node.rels if what else ():
        yield Work(deed, plain(table_name(entry.vacuum_relation.relation)), what)


def _reindex(node: Node, _known: Known) -> Iterator[Work]:
    if enum_name(node, "kind") == "REINDEX_OBJECT_TABLE":
        yield Work("scans", plain(table_name(node.relation)), "REINDEX")


def _refresh(node: Node, _known: Known) -> Iterator[Work]:
    if not node.skip_data:
        yield Work("changes rows of" if node.concurrent else "rewrites", plain(table_name(node.relation)), "REFRESH")


def _rows(command: str) -> Callable[[Node, Known], Iterator[Work]]:
    def change(node: Node, _known: Known) -> Iterator[Work]:
        yield Work("changes rows of", plain(table_name(node.relation)), command)

    return change


_WORK: Mapping[str, Callable[[Node, Known], Iterator[Work]]] = {
    "alter_table_stmt": _change,
    "index_stmt": _index,
    "cluster_stmt": _cluster,
    "vacuum_stmt": _vacuum,
    "reindex_stmt": _reindex,
    "refresh_mat_view_stmt": _refresh,
    "update_stmt": _rows("UPDATE"),
    "delete_stmt": _rows("DELETE"),
    "merge_stmt": _rows("MERGE"),
}
