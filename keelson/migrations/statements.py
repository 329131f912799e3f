"""A file's statements, split and named by PostgreSQL's own grammar (libpg_query, through postgast)."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from keelson.errors import MigrationError
from keelson.migrations import psql
from keelson.migrations.locks import Node, TableLock, effects_of
from keelson.migrations.losses import Loss, losses_of

_HIDDEN = r"\1a literal"  # which may be a password
_LITERAL = re.compile(r"""(at or near )"(?:[eE]?'|\$).*"$""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CopyData:
    """The rows that follow a COPY … FROM stdin, and the line of the first."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a file.

    Attributes:
        text: The statement without its semicolon.
        line: The line of the file that it starts on, from 1.
        kind: The grammar's name of its kind, such as `create_stmt`.
        creates: What it makes, such as `table users`; empty for all that makes nothing.
        locks: The tables that it locks, with the mode.
        copy_data: The rows to send, for COPY … FROM stdin.
        losses: What it destroys.
    """

    text: str
    line: int
    kind: str
    creates: str
    locks: tuple[TableLock, ...]
    copy_data: CopyData | None = None
    losses: tuple[Loss, ...] = ()


def split(text: str, source: str) -> tuple[Statement, ...]:
    """Return the statements of a normalised text; `source` names the file in messages.

    Raises:
        MigrationError: the text is no SQL, has no statement, or has one that cannot be part of a migration.
    """
    plain = psql.strip(text, source)
    statements = tuple(_statements(plain, source))
    if not statements:
        msg = f"{source} has no statement; write its SQL or delete it"
        raise MigrationError(msg)
    return statements


def _statements(plain: psql.PlainSql, source: str) -> Iterator[Statement]:
    encoded, data = plain.text.encode(), iter(plain.data)
    counted, line = 0, 1
    for raw in _parse(plain.text, source).stmts:
        start = raw.stmt_location
        end = start + raw.stmt_len if raw.stmt_len else len(encoded)
        line += encoded.count(b"\n", counted, start)
        counted = start
        kind = raw.stmt.WhichOneof("node")
        node = getattr(raw.stmt, kind)
        if reason := _refusal(kind, node):
            msg = f"{source}:{line}: {reason}"
            raise MigrationError(msg)
        rows = _copy_data(node, data, f"{source}:{line}") if kind == "copy_stmt" else None
        creates, locks = effects_of(kind, node)
        yield Statement(encoded[start:end].decode().strip(), line, kind, creates, locks, rows, losses_of(kind, node))


def _parse(text: str, source: str) -> Node:
    postgast = importlib.import_module("postgast")  # takes 0.2 s, which a run with nothing to do saves
    try:
        return postgast.parse(text)
    except postgast.PgQueryError as fault:
        before = text.encode()[: max(fault.cursorpos - 1, 0)]
        line = before.count(b"\n") + 1
        msg = f"{source}:{line}: {_LITERAL.sub(_HIDDEN, fault.message)}; correct the SQL"
        raise MigrationError(msg) from None


def _copy_data(node: Node, data: Iterator[tuple[int, str]], where: str) -> CopyData | None:
    if node.filename or not node.is_from:
        return None
    rows = next(data, None)
    if rows is None:
        msg = f"{where}: COPY FROM stdin has no data; put the rows on the lines after it and \\. on a line of its own"
        raise MigrationError(msg)
    return CopyData(*rows)


def _refusal(kind: str, node: Node) -> str:
    """Return why a statement cannot stand in a migration, or an empty text."""
    if kind == "transaction_stmt":
        return "a migration is one transaction already; take BEGIN, COMMIT, ROLLBACK and SAVEPOINT out"
    if kind == "copy_stmt" and not node.is_from and not node.filename:
        return "COPY TO stdout has nowhere to write to; take it out"
    if kind == "create_table_as_stmt" and _is_continuous(node):
        return "a continuous aggregate depends on TimescaleDB's edition; declare it in timescale.yaml"
    if command := _outside_transactions(kind, node):
        return f"{command} cannot run inside a transaction, and a migration is one; take it out of the migration"
    return ""


def _is_continuous(node: Node) -> bool:
    options = [option.def_elem for option in node.into.options]
    return any((option.defnamespace, option.defname) == ("timescaledb", "continuous") for option in options)


_NEVER_IN_TRANSACTION = {
    "createdb_stmt": "CREATE DATABASE",
    "dropdb_stmt": "DROP DATABASE",
    "alter_system_stmt": "ALTER SYSTEM",
    "create_table_space_stmt": "CREATE TABLESPACE",
    "drop_table_space_stmt": "DROP TABLESPACE",
    "drop_subscription_stmt": "DROP SUBSCRIPTION",
    "create_subscription_stmt": "CREATE SUBSCRIPTION",
}


def _outside_transactions(kind: str, node: Node) -> str:  # noqa: PLR0911 - one line for each kind
    """Return the command that PostgreSQL refuses inside a transaction block, or an empty text."""
    if kind in _NEVER_IN_TRANSACTION:
        return _NEVER_IN_TRANSACTION[kind]
    if kind == "vacuum_stmt" and node.is_vacuumcmd:
        return "VACUUM"
    if kind == "cluster_stmt" and not node.relation.relname:
        return "CLUSTER of all tables"
    if kind == "index_stmt" and node.concurrent:
        return "CREATE INDEX CONCURRENTLY"
    if kind == "drop_stmt" and node.concurrent:
        return "DROP INDEX CONCURRENTLY"
    if kind == "reindex_stmt" and _reindexes_outside(node):
        return "this form of REINDEX"
    if kind == "alter_table_stmt" and any(_detaches_concurrently(command.alter_table_cmd) for command in node.cmds):
        return "DETACH PARTITION CONCURRENTLY"
    return ""


def _reindexes_outside(node: Node) -> bool:
    whole = {"REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"}
    kind = type(node).DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[node.kind].name
    return kind in whole or any(option.def_elem.defname == "concurrently" for option in node.params)


def _detaches_concurrently(command: Node) -> bool:
    return bool(getattr(command, "def").partition_cmd.concurrent)
