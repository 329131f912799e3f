"""What a statement is about: the tables, indexes, types and so on that it changes, as they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from keelson.migrations.grammar import Node
from keelson.migrations.locks import dotted, enum_name, table_name
from keelson.migrations.losses import object_name

_INSIDE_TABLE = frozenset({"OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"})


def subjects_of(kind: str, node: Node) -> tuple[str, ...]:
    """Return the names of what a statement changes or drops, without the schema public; none where it changes nothing."""
    found = _SUBJECTS[kind](node) if kind in _SUBJECTS else ()
    return tuple(dict.fromkeys(plain(name) for name in found if name))


def plain(name: str) -> str:
    """Return a name without the schema in which names are looked up anyway."""
    return name.removeprefix("public.")


def _dropped(node: Node) -> Iterator[str]:
    inside = enum_name(node, "remove_type") in _INSIDE_TABLE
    for entry in node.objects:
        name = object_name(entry)
        yield name.rpartition(".")[0] if inside else name


def _renamed(node: Node) -> Iterator[str]:
    if node.relation.relname:
        yield table_name(node.relation)
    elif node.HasField("object"):
        yield object_name(node.object)
    else:
        yield node.subname


def _moved(node: Node) -> Iterator[str]:
    yield table_name(node.relation) if node.relation.relname else object_name(node.object)


def _vacuumed(node: Node) -> Iterator[str]:
    yield from (table_name(entry.vacuum_relation.relation) for entry in node.rels)


def _relation(field: str) -> Callable[[Node], Iterator[str]]:
    def name(node: Node) -> Iterator[str]:
        yield table_name(getattr(node, field))

    return name


def _named(field: str) -> Callable[[Node], Iterator[str]]:
    def name(node: Node) -> Iterator[str]:
        yield dotted(getattr(node, field))

    return name


_SUBJECTS: Mapping[str, Callable[[Node], Iterator[str]]] = {
    "alter_table_stmt": _relation("relation"),
    "index_stmt": _relation("relation"),
    "create_trig_stmt": _relation("relation"),
    "rule_stmt": _relation("relation"),
    "cluster_stmt": _relation("relation"),
    "reindex_stmt": _relation("relation"),
    "insert_stmt": _relation("relation"),
    "update_stmt": _relation("relation"),
    "delete_stmt": _relation("relation"),
    "merge_stmt": _relation("relation"),
    "copy_stmt": _relation("relation"),
    "refresh_mat_view_stmt": _relation("relation"),
    "create_policy_stmt": _relation("table"),
    "alter_policy_stmt": _relation("table"),
    "alter_seq_stmt": _relation("sequence"),
    "create_stmt": _relation("relation"),
    "create_function_stmt": _named("funcname"),
    "alter_enum_stmt": _named("type_name"),
    "alter_domain_stmt": _named("type_name"),
    "drop_stmt": _dropped,
    "rename_stmt": _renamed,
    "alter_object_schema_stmt": _moved,
    "truncate_stmt": lambda node: (table_name(entry.range_var) for entry in node.relations),
    "vacuum_stmt": _vacuumed,
}
