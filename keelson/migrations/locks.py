"""What a parsed statement makes and which tables it locks (PostgreSQL's documentation, 13.3 and ALTER TABLE)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from keelson.migrations.grammar import Node

# From weak to strong.
MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)


@dataclass(frozen=True, slots=True)
class TableLock:
    """A lock that a command takes on a table that exists already."""

    table: str
    mode: str
    command: str

    @property
    def strength(self) -> int:
        """The mode's place among the modes."""
        return MODES.index(self.mode)


def effects_of(kind: str, node: Node) -> tuple[str, tuple[TableLock, ...]]:
    """Return what a statement makes (such as `table users`, or an empty text) and the locks that it takes."""
    name = _CREATES[kind](node) if kind in _CREATES else ""
    return name, tuple(_LOCKS[kind](node)) if kind in _LOCKS else ()


def table_name(relation: Node) -> str:
    """Return a table's name as it is written, with its schema if that stands there."""
    return f"{relation.schemaname}.{relation.relname}" if relation.schemaname else str(relation.relname)


def dotted(strings: Node) -> str:
    """Return a name of several parts."""
    return ".".join(item.string.sval for item in strings)


def enum_name(node: Node, field: str) -> str:
    """Return the name of an enumeration's value, such as `OBJECT_TABLE`."""
    kinds = type(node).DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(kinds[getattr(node, field)].name)


def _made_as(node: Node) -> str:
    noun = "materialized view" if enum_name(node, "objtype") == "OBJECT_MATVIEW" else "table"
    return f"{noun} {table_name(node.into.rel)}"


_CREATES: Mapping[str, Callable[[Node], str]] = {
    "create_stmt": lambda node: f"table {table_name(node.relation)}",
    "create_table_as_stmt": _made_as,
    "index_stmt": lambda node: f"index {node.idxname}",
    "view_stmt": lambda node: f"view {table_name(node.view)}",
    "create_function_stmt": lambda node: f"{'procedure' if node.is_procedure else 'function'} {dotted(node.funcname)}",
    "create_enum_stmt": lambda node: f"type {dotted(node.type_name)}",
    "create_range_stmt": lambda node: f"type {dotted(node.type_name)}",
    "composite_type_stmt": lambda node: f"type {table_name(node.typevar)}",
    "create_domain_stmt": lambda node: f"domain {dotted(node.domainname)}",
    "create_schema_stmt": lambda node: f"schema {node.schemaname}",
    "create_extension_stmt": lambda node: f"extension {node.extname}",
    "create_seq_stmt": lambda node: f"sequence {table_name(node.sequence)}",
    "create_trig_stmt": lambda node: f"trigger {node.trigname}",
    "create_policy_stmt": lambda node: f"policy {node.policy_name}",
    "rule_stmt": lambda node: f"rule {node.rulename}",
}


def _creation(node: Node) -> Iterator[TableLock]:
    constraints = [element.constraint for element in node.table_elts]
    constraints += [item.constraint for element in node.table_elts for item in element.column_def.constraints]
    yield from _foreign_keys(constraints)
    mode = "ACCESS EXCLUSIVE" if node.HasField("partbound") else "SHARE UPDATE EXCLUSIVE"
    for parent in node.inh_relations:
        yield TableLock(
            table_name(parent.range_var), mode, "PARTITION OF" if node.HasField("partbound") else "INHERITS"
        )


def _foreign_keys(constraints: list[Node]) -> Iterator[TableLock]:
    for constraint in constraints:
        if constraint.pktable.relname:
            yield TableLock(table_name(constraint.pktable), "SHARE ROW EXCLUSIVE", "REFERENCES")


_WEAKER_CHANGES = {
    "AT_SetStatistics": "SHARE UPDATE EXCLUSIVE",
    "AT_SetOptions": "SHARE UPDATE EXCLUSIVE",
    "AT_ResetOptions": "SHARE UPDATE EXCLUSIVE",
    "AT_SetRelOptions": "SHARE UPDATE EXCLUSIVE",
    "AT_ResetRelOptions": "SHARE UPDATE EXCLUSIVE",
    "AT_ClusterOn": "SHARE UPDATE EXCLUSIVE",
    "AT_DropCluster": "SHARE UPDATE EXCLUSIVE",
    "AT_ValidateConstraint": "SHARE UPDATE EXCLUSIVE",
    "AT_AttachPartition": "SHARE UPDATE EXCLUSIVE",
    **dict.fromkeys(
        (f"AT_{verb}Trig{which}" for verb in ("Enable", "Disable") for which in ("", "All", "User")),
        "SHARE ROW EXCLUSIVE",
    ),
}


def _change(node: Node) -> Iterator[TableLock]:
    if enum_name(node, "objtype") == "OBJECT_INDEX":
        return
    command = "ALTER " + enum_name(node, "objtype").removeprefix("OBJECT_").replace("MATVIEW", "MATERIALIZED VIEW")
    for item in (entry.alter_table_cmd for entry in node.cmds):
        definition = getattr(item, "def")
        constraint = definition.constraint
        column_constraints = [entry.constraint for entry in definition.column_def.constraints]
        yield from _foreign_keys([constraint, *column_constraints])
        mode = _WEAKER_CHANGES.get(enum_name(item, "subtype"), "ACCESS EXCLUSIVE")
        if constraint.pktable.relname:
            mode = "SHARE ROW EXCLUSIVE"
        yield TableLock(table_name(node.relation), mode, command)
        if partition := definition.partition_cmd.name.relname:
            yield TableLock(partition, "ACCESS EXCLUSIVE", command)


_DROPPED_WITH_TABLE = {"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"}
_DROPPED_RELATIONS = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_INDEX", "OBJECT_FOREIGN_TABLE"}


def _removal(node: Node) -> Iterator[TableLock]:
    kind = enum_name(node, "remove_type")
    command = "DROP " + kind.removeprefix("OBJECT_").replace("MATVIEW", "MATERIALIZED VIEW").replace("_", " ")
    for entry in node.objects:
        if kind in _DROPPED_RELATIONS:
            yield TableLock(dotted(entry.list.items), "ACCESS EXCLUSIVE", command)
        elif kind in _DROPPED_WITH_TABLE:
            yield TableLock(dotted(list(entry.list.items)[:-1]), "ACCESS EXCLUSIVE", command)


def _rename(node: Node) -> Iterator[TableLock]:
    if node.relation.relname and enum_name(node, "rename_type") != "OBJECT_INDEX":
        yield TableLock(table_name(node.relation), "ACCESS EXCLUSIVE", "RENAME")


def _copy(node: Node) -> Iterator[TableLock]:
    if node.is_from:
        yield TableLock(table_name(node.relation), "ROW EXCLUSIVE", "COPY")


def _select(node: Node) -> Iterator[TableLock]:
    """create_hypertable is a function, and locks like an ALTER TABLE."""
    calls = [target.res_target.val.func_call for target in node.target_list]
    for call in calls:
        if call.funcname and call.funcname[-1].string.sval == "create_hypertable" and call.args:
            first = call.args[0]
            name = first.a_const.sval.sval or first.type_cast.arg.a_const.sval.sval
            yield TableLock(name or "a table", "ACCESS EXCLUSIVE", "create_hypertable")


def _index(node: Node) -> Iterator[TableLock]:
    concurrent = " CONCURRENTLY" if node.concurrent else ""
    mode = "SHARE UPDATE EXCLUSIVE" if concurrent else "SHARE"
    yield TableLock(table_name(node.relation), mode, f"CREATE INDEX{concurrent}")


def _reindex(node: Node) -> Iterator[TableLock]:
    if enum_name(node, "kind") == "REINDEX_OBJECT_TABLE":
        concurrent = any(option.def_elem.defname == "concurrently" for option in node.params)
        yield TableLock(table_name(node.relation), "SHARE UPDATE EXCLUSIVE" if concurrent else "SHARE", "REINDEX")


def _comment(node: Node) -> Iterator[TableLock]:
    names = list(node.object.list.items)
    if enum_name(node, "objtype") == "OBJECT_COLUMN":
        names = names[:-1]
    elif enum_name(node, "objtype") != "OBJECT_TABLE":
        return
    yield TableLock(dotted(names), "SHARE UPDATE EXCLUSIVE", "COMMENT")


def _vacuum(node: Node) -> Iterator[TableLock]:
    full = any(option.def_elem.defname == "full" for option in node.options)
    command = ("VACUUM FULL" if full else "VACUUM") if node.is_vacuumcmd else "ANALYZE"
    for entry in node.rels:
        mode = "ACCESS EXCLUSIVE" if full else "SHARE UPDATE EXCLUSIVE"
        yield TableLock(table_name(entry.vacuum_relation.relation), mode, command)


def _on(field: str, mode: str, command: str) -> Callable[[Node], Iterator[TableLock]]:
    def lock(node: Node) -> Iterator[TableLock]:
        yield TableLock(table_name(getattr(node, field)), mode, command)

    return lock


_LOCKS: Mapping[str, Callable[[Node], Iterator[TableLock]]] = {
    "create_stmt": _creation,
    "alter_table_stmt": _change,
    "drop_stmt": _removal,
    "rename_stmt": _rename,
    "copy_stmt": _copy,
    "select_stmt": _select,
    "index_stmt": _index,
    "reindex_stmt": _reindex,
    "vacuum_stmt": _vacuum,
    "cluster_stmt": _on("relation", "ACCESS EXCLUSIVE", "CLUSTER"),
    "create_trig_stmt": _on("relation", "SHARE ROW EXCLUSIVE", "CREATE TRIGGER"),
    "create_policy_stmt": _on("table", "ACCESS EXCLUSIVE", "CREATE POLICY"),
    "rule_stmt": _on("relation", "ACCESS EXCLUSIVE", "CREATE RULE"),
    "refresh_mat_view_stmt": lambda node: iter(
        [TableLock(table_name(node.relation), "EXCLUSIVE" if node.concurrent else "ACCESS EXCLUSIVE", "REFRESH")]
    ),
    "insert_stmt": _on("relation", "ROW EXCLUSIVE", "INSERT"),
    "update_stmt": _on("relation", "ROW EXCLUSIVE", "UPDATE"),
    "delete_stmt": _on("relation", "ROW EXCLUSIVE", "DELETE"),
    "merge_stmt": _on("relation", "ROW EXCLUSIVE", "MERGE"),
    "truncate_stmt": lambda node: (
        TableLock(table_name(entry.range_var), "ACCESS EXCLUSIVE", "TRUNCATE") for entry in node.relations
    ),
    "comment_stmt": _comment,
    "lock_stmt": lambda node: (
        TableLock(table_name(entry.range_var), MODES[node.mode - 1], "LOCK TABLE") for entry in node.relations
    ),
}
