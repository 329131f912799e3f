"""Rules for what TimescaleDB refuses, or does otherwise than PostgreSQL alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keelson.migrations.grammar import Node
from keelson.migrations.lint.calls import calls_in
from keelson.migrations.lint.known import Known, unique_keys
from keelson.migrations.lint.names import plain
from keelson.migrations.lint.own import Hit
from keelson.migrations.lint.reading import Parsed
from keelson.migrations.locks import enum_name, table_name
from keelson.migrations.statements import TIMESCALE_OPTIONS, is_continuous

# Functions and procedures that the Apache edition does not have.
COMMUNITY_CALLS = frozenset(
    {
        "add_compression_policy",
        "remove_compression_policy",
        "add_columnstore_policy",
        "remove_columnstore_policy",
        "add_retention_policy",
        "remove_retention_policy",
        "add_continuous_aggregate_policy",
        "remove_continuous_aggregate_policy",
        "add_reorder_policy",
        "remove_reorder_policy",
        "add_job",
        "alter_job",
        "compress_chunk",
        "decompress_chunk",
        "convert_to_columnstore",
        "convert_to_rowstore",
        "refresh_continuous_aggregate",
        "time_bucket_gapfill",
    }
)
_REFUSED_WHEN_COMPRESSED = frozenset({"AT_AlterColumnType", "AT_SetNotNull", "AT_AddConstraint", "AT_SetTableSpace"})


def hits_of(statement: Parsed, known: Known, edition: str, *, transaction: bool) -> Iterator[Hit]:
    """Yield what a statement breaks; `edition` is `apache`, `community` or empty where nobody knows."""
    kind, node = statement.kind, statement.node
    if kind == "create_stmt":
        yield from _creation(statement)
    elif kind == "index_stmt":
        yield from _index(node, known)
    elif kind == "alter_table_stmt":
        yield from _change(node, known)
    elif kind == "create_table_as_stmt" and is_continuous(node) and transaction and not node.into.skip_data:
        yield Hit("aggregate-with-data")
    yield from _calls(statement, known, transaction=transaction)
    if _needs_community(statement):
        yield Hit("timescale-edition" if edition == "apache" else "timescale-in-yaml")


def _creation(statement: Parsed) -> Iterator[Hit]:
    """CREATE TABLE … WITH (tsdb.hypertable) makes both at once."""
    after = Known()
    after.learn(statement, pending=False)
    for table, columns in after.hypertables.items():
        if not all(_covers(keys, columns) for keys in after.keys[table]):
            yield Hit("hypertable-unique-time", (table,))


def _index(node: Node, known: Known) -> Iterator[Hit]:
    table = plain(table_name(node.relation))
    if table not in known.hypertables:
        return
    by_chunk = any(option.def_elem.defname == "transaction_per_chunk" for option in node.options)
    if node.concurrent:
        yield Hit("hypertable-concurrent-index", (table,))
    elif not by_chunk and not known.is_made(table):
        yield Hit("hypertable-index", (table,))
    if node.unique and not _covers([entry.index_elem.name for entry in node.index_params], known.hypertables[table]):
        yield Hit("hypertable-unique-time", (table,))


def _change(node: Node, known: Known) -> Iterator[Hit]:
    table = plain(table_name(node.relation))
    for command in (entry.alter_table_cmd for entry in node.cmds):
        change, definition = enum_name(command, "subtype"), getattr(command, "def")
        if table in known.compressed and change in _REFUSED_WHEN_COMPRESSED and not known.is_made(table):
            yield Hit("compressed-table-change", (table,))
        for keys in unique_keys([definition]):
            if table in known.hypertables and not _covers(keys, known.hypertables[table]):
                yield Hit("hypertable-unique-time", (table,))


def _covers(columns: Iterable[str], wanted: set[str]) -> bool:
    return wanted <= set(columns)


def _calls(statement: Parsed, known: Known, *, transaction: bool) -> Iterator[Hit]:
    for call in calls_in(statement):
        table = plain(call.text(0, "relation", "main_table"))
        if call.name == "refresh_continuous_aggregate" and transaction:
            yield Hit("refresh-in-transaction")
        if call.name != "create_hypertable" or not table:
            continue
        if not known.is_made(table):
            yield Hit("create-hypertable-with-data", (table,))
        after = Known(hypertables=dict(known.hypertables))
        after.learn(statement, pending=False)
        for keys in known.keys.get(table, ()):
            if not _covers(keys, after.hypertables[table]):
                yield Hit("hypertable-unique-time", (table,))


def _needs_community(statement: Parsed) -> bool:
    if any(call.name in COMMUNITY_CALLS for call in calls_in(statement)):
        return True
    if statement.kind == "create_table_as_stmt":
        return is_continuous(statement.node)
    if statement.kind != "alter_table_stmt":
        return False
    options = (
        option.def_elem
        for command in statement.node.cmds
        for option in getattr(command.alter_table_cmd, "def").list.items
        if enum_name(command.alter_table_cmd, "subtype") == "AT_SetRelOptions"
    )
    return any(option.defnamespace in TIMESCALE_OPTIONS for option in options)
