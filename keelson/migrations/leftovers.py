"""What an interrupted statement outside a transaction left behind, and what that means for its next run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations.grammar import Node
from keelson.migrations.locks import enum_name, table_name
from keelson.migrations.statements import Analysis, Statement

BUILDER_DEADLINE = 15.0  # s in which the server ends the work of a client that is gone

_INDEX = """
    SELECT i.indexrelid::regclass::text, i.indisvalid AND i.indisready
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass(%s) AND c.relname = %s
"""
_REBUILT = """
    SELECT i.indexrelid::regclass::text
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
    WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND t.relkind <> 't'
      AND (%(name)s::text IS NULL OR i.indrelid = to_regclass(%(name)s)
           OR i.indrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass(%(name)s)))
           OR i.indrelid IN (SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass(%(name)s)
               OR indexrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass(%(name)s)))))
      AND (%(schema)s::text IS NULL OR t.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s))
    ORDER BY 1
"""
_BUILT_BY_OTHERS = """
    SELECT pid FROM pg_catalog.pg_stat_progress_create_index
    WHERE datname = current_database() AND pid <> pg_catalog.pg_backend_pid()
      AND (%(name)s::text IS NULL OR to_regclass(%(name)s) IN (relid, index_relid))
"""
_PARTITION = """
    SELECT inhdetachpending FROM pg_catalog.pg_inherits WHERE inhparent = to_regclass(%s) AND inhrelid = to_regclass(%s)
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: whether the statement's work is done, what to run in its place, and what to tell."""

    is_done: bool = False
    instead: str | None = None
    said: str = ""


def look(connection: psycopg.Connection, analysis: Analysis, *, was_begun: bool) -> Look:
    """Remove what an interrupted run of a statement left, and say what is left to do."""
    looker = _LOOKERS.get(analysis.kind)
    return looker(connection, analysis.node, was_begun) if looker and analysis.outside else Look()


def left_by(connection: psycopg.Connection, analysis: Analysis) -> str:
    """Return what a statement that failed left behind, in words; nothing where it left nothing."""
    if analysis.kind == "index_stmt":
        found = _index(connection, analysis.node)
        return f"the invalid index {found[0]}" if found and not found[1] else ""
    if analysis.kind == "reindex_stmt":
        left = _rebuilt(connection, analysis.node)
        return f"the invalid {'index' if len(left) == 1 else 'indexes'} {', '.join(left)}" if left else ""
    return ""


def refuse_unnamed(statement: Statement, analysis: Analysis, source: str) -> None:
    """Raise MigrationError where an index without a name is built outside a transaction: no retry would know it again."""
    if analysis.kind == "index_stmt" and analysis.outside and not analysis.node.idxname:
        msg = f"{source}:{statement.line}: an index that is built outside a transaction needs a name, by which a retry finds it; name it"
        raise MigrationError(msg)


def _creation(connection: psycopg.Connection, node: Node, was_begun: bool) -> Look:  # noqa: FBT001 - one signature for all
    _wait_for_builders(connection, _quoted(node.relation))
    found = _index(connection, node)
    if found is None:
        return Look()
    name, is_valid = found
    if is_valid:
        return Look(is_done=was_begun, said=f"the index {name} is there already" if was_begun else "")
    if node.concurrent:
        _drop_index(connection, name)
    else:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.SQL(name)))  # one of a hypertable goes in no other way
    return Look(said=f"dropped the invalid index {name}, which an interrupted run left")


def _removal(connection: psycopg.Connection, node: Node, was_begun: bool) -> Look:  # noqa: FBT001
    names = [sql.Identifier(*(item.string.sval for item in entry.list.items)).as_string(None) for entry in node.objects]
    query = "SELECT count(to_regclass(name)) FROM unnest(%s::text[]) AS t(name)"
    row = connection.execute(query, [names]).fetchone()
    return Look(is_done=was_begun and row == (0,))


def _rebuilding(connection: psycopg.Connection, node: Node, was_begun: bool) -> Look:  # noqa: FBT001
    if was_begun:
        _wait_for_builders(connection, _rebuilt_name(node))
    left = _rebuilt(connection, node) if was_begun else []
    for name in left:
        _drop_index(connection, name)
    return Look(said=f"dropped {', '.join(left)}, which an interrupted run left" if left else "")


def _detachment(connection: psycopg.Connection, node: Node, was_begun: bool) -> Look:  # noqa: FBT001
    command = getattr(node.cmds[0].alter_table_cmd, "def").partition_cmd
    child = table_name(command.name)
    row = connection.execute(_PARTITION, [_quoted(node.relation), _quoted(command.name)]).fetchone()
    if row is None:
        return Look(is_done=was_begun)
    if not row[0]:
        return Look()
    final = sql.SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(
        _identifier(node.relation), _identifier(command.name)
    )
    return Look(instead=final.as_string(connection), said=f"finishing the interrupted detachment of {child}")


def _shared(
    catalog: str, column: str, field: str, *, is_made: bool
) -> Callable[[psycopg.Connection, Node, bool], Look]:
    """Return what looks whether a database, tablespace or subscription is there, which is all that its statement does."""
    query = sql.SQL("SELECT count(*) = 1 FROM pg_catalog.{} WHERE {} = %s").format(
        sql.Identifier(catalog), sql.Identifier(column)
    )

    def find(connection: psycopg.Connection, node: Node, was_begun: bool) -> Look:  # noqa: FBT001
        row = connection.execute(query, [getattr(node, field)]).fetchone()
        return Look(is_done=was_begun and row == (is_made,))

    return find


_LOOKERS: Mapping[str, Callable[[psycopg.Connection, Node, bool], Look]] = {
    "index_stmt": _creation,
    "drop_stmt": _removal,
    "reindex_stmt": _rebuilding,
    "alter_table_stmt": _detachment,
    "createdb_stmt": _shared("pg_database", "datname", "dbname", is_made=True),
    "dropdb_stmt": _shared("pg_database", "datname", "dbname", is_made=False),
    "create_table_space_stmt": _shared("pg_tablespace", "spcname", "tablespacename", is_made=True),
    "drop_table_space_stmt": _shared("pg_tablespace", "spcname", "tablespacename", is_made=False),
    "create_subscription_stmt": _shared("pg_subscription", "subname", "subname", is_made=True),
    "drop_subscription_stmt": _shared("pg_subscription", "subname", "subname", is_made=False),
}


def _index(connection: psycopg.Connection, node: Node) -> tuple[str, bool] | None:
    row = connection.execute(_INDEX, [_quoted(node.relation), node.idxname]).fetchone()
    return (str(row[0]), bool(row[1])) if row else None


def _rebuilt(connection: psycopg.Connection, node: Node) -> list[str]:
    is_schema = enum_name(node, "kind") == "REINDEX_OBJECT_SCHEMA"
    names = {"name": _rebuilt_name(node), "schema": node.name if is_schema else None}
    return [str(name) for (name,) in connection.execute(_REBUILT, names).fetchall()]


def _rebuilt_name(node: Node) -> str | None:
    """Return the table or index that is rebuilt; None where it is all of a schema or database."""
    is_one = enum_name(node, "kind") in {"REINDEX_OBJECT_TABLE", "REINDEX_OBJECT_INDEX"}
    return _quoted(node.relation) if is_one else None


def _drop_index(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.SQL(name)))  # quoted by the server


def _wait_for_builders(connection: psycopg.Connection, name: str | None) -> None:
    """Wait until a killed client's build has ended; a build that goes on is another's, and left alone."""
    end = time.monotonic() + BUILDER_DEADLINE
    while connection.execute(_BUILT_BY_OTHERS, {"name": name}).fetchone() and time.monotonic() < end:
        time.sleep(0.1)


def _quoted(relation: Node) -> str:
    return _identifier(relation).as_string(None)


def _identifier(relation: Node) -> sql.Identifier:
    names = [relation.schemaname, relation.relname] if relation.schemaname else [relation.relname]
    return sql.Identifier(*names)
