"""What a parsed statement takes away for good: tables, columns, rows. An undo brings the shape back, and no data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from keelson.migrations.grammar import Node
from keelson.migrations.locks import dotted, enum_name, table_name


@dataclass(frozen=True, slots=True)
class Loss:
    """What is lost, in words, and the table or other object that it is lost from."""

    of: str
    what: str


def losses_of(kind: str, node: Node) -> tuple[Loss, ...]:
    """Return what a statement destroys; what it calls or runs as code is not looked into."""
    found = list(_LOSSES[kind](node)) if kind in _LOSSES else []
    for entry in getattr(getattr(node, "with_clause", None), "ctes", ()):
        query = entry.common_table_expr.ctequery
        inner = query.WhichOneof("node")
        found += losses_of(inner, getattr(query, inner))
    return tuple(found)


# Dropping anything else loses what can be made again from text alone, unless it takes along what depends on it.
_KEEPS_DATA = frozenset(
    {"TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "SCHEMA", "SEQUENCE", "TYPE", "DOMAIN", "EXTENSION"}
)
_ONE_WORD = frozenset({"OBJECT_SCHEMA", "OBJECT_EXTENSION"})


def _removal(node: Node) -> Iterator[Loss]:
    kind = enum_name(node, "remove_type")
    noun = kind.removeprefix("OBJECT_").replace("MATVIEW", "MATERIALIZED VIEW").replace("_", " ")
    cascades = enum_name(node, "behavior") == "DROP_CASCADE"
    if noun not in _KEEPS_DATA and not cascades:
        return
    for entry in node.objects:
        name = object_name(entry)
        tail = " and all that depends on it" if cascades else ""
        yield Loss(name, f"drops {noun.lower()} {name}{tail}")


def object_name(entry: Node) -> str:
    """Return the name of a dropped object: a word, a dotted list, a type or a function."""
    kind = entry.WhichOneof("node")
    if kind == "string":
        return str(entry.string.sval)
    if kind == "type_name":
        return dotted(entry.type_name.names)
    if kind == "object_with_args":
        return dotted(entry.object_with_args.objname)
    return dotted(entry.list.items)


def _change(node: Node) -> Iterator[Loss]:
    name = table_name(node.relation)
    for item in (entry.alter_table_cmd for entry in node.cmds):
        change = enum_name(item, "subtype")
        if change == "AT_DropColumn":
            yield Loss(name, f"drops column {name}.{item.name}")
        elif change == "AT_AlterColumnType":
            yield Loss(name, f"changes the type of {name}.{item.name}")


def _truncation(node: Node) -> Iterator[Loss]:
    for entry in node.relations:
        name = table_name(entry.range_var)
        yield Loss(name, f"empties {name}")


def _deletion(node: Node) -> Iterator[Loss]:
    if not node.HasField("where_clause"):
        name = table_name(node.relation)
        yield Loss(name, f"deletes every row of {name}")


def _call(node: Node) -> Iterator[Loss]:
    """TimescaleDB drops chunks by a function."""
    for call in (target.res_target.val.func_call for target in node.target_list):
        if call.funcname and call.funcname[-1].string.sval == "drop_chunks" and call.args:
            first = call.args[0]
            name = first.a_const.sval.sval or first.type_cast.arg.a_const.sval.sval or "a table"
            yield Loss(name, f"drops chunks of {name}")


def _ownership(node: Node) -> Iterator[Loss]:
    for role in node.roles:
        name = role.role_spec.rolename or "the current role"
        yield Loss(name, f"drops all that {name} owns")


_LOSSES: Mapping[str, Callable[[Node], Iterator[Loss]]] = {
    "drop_stmt": _removal,
    "alter_table_stmt": _change,
    "truncate_stmt": _truncation,
    "delete_stmt": _deletion,
    "select_stmt": _call,
    "drop_owned_stmt": _ownership,
}
