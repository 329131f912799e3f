"""A file's statements, split and named by PostgreSQL's own grammar."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from keelson.errors import MigrationError
from keelson.migrations import grammar
from keelson.migrations.grammar import Node
from keelson.migrations.locks import TableLock, effects_of, enum_name
from keelson.migrations.losses import Loss, losses_of
from keelson.migrations.parts import Part, blocks_of
from keelson.migrations.script import BLOCK, Buffer, Kind, Stretch, count_lines, stretches

LARGEST_PARSED = 16 * BLOCK  # bytes of a statement that is parsed before the server sees it: a tree takes 50 times that
TIMESCALE_OPTIONS = frozenset({"timescaledb", "tsdb"})  # what its options in WITH (…) begin with
_TOGETHER = 1 << 16  # bytes of statements that are split at once

_HIDDEN = r"\1a literal"  # which may be a password
_LITERAL = re.compile(r"""(at or near )"(?:[eE]?'|\$).*"$""", re.DOTALL)
# Statements of which the first words and one other say enough: they belong in a transaction and leave the session as it is.
_PLAIN = re.compile(
    r"""(?: CREATE \s+ (?:OR \s+ REPLACE \s+)? (?: (?:UNIQUE \s+)? INDEX | TABLE | VIEW | FUNCTION | PROCEDURE | TYPE | DOMAIN | SCHEMA
            | SEQUENCE | TRIGGER | POLICY | AGGREGATE | RULE | CAST | OPERATOR | STATISTICS )
        | ALTER \s+ (?: TABLE | INDEX | VIEW | FUNCTION | PROCEDURE | TYPE | DOMAIN | SCHEMA | SEQUENCE | POLICY )
        | DROP \s+ (?: TABLE | INDEX | VIEW | FUNCTION | PROCEDURE | TYPE | DOMAIN | SCHEMA | SEQUENCE | TRIGGER | POLICY | RULE )
        | INSERT | UPDATE | DELETE | COMMENT | GRANT | REVOKE | TRUNCATE ) \s """,
    re.IGNORECASE | re.VERBOSE,
)
_BEGIN = re.compile(r"(BEGIN|START\s+TRANSACTION)(\s+(WORK|TRANSACTION))?", re.IGNORECASE)
_COMMIT = re.compile(r"(COMMIT|END)(\s+(WORK|TRANSACTION))?", re.IGNORECASE)
_TRANSACTION_STATEMENT = "a migration is one transaction already; take BEGIN, COMMIT, ROLLBACK and SAVEPOINT out"
_BLANK = re.compile(rb"\s*")
_COPY = re.compile(r"COPY\b", re.IGNORECASE)
_NOT_PLAIN = re.compile(
    r"\b(CONCURRENTLY|set_config|transaction_per_chunk|pg_temp|currval|lastval|pg_advisory_unlock_all)\b", re.IGNORECASE
)
_FREES_LOCKS = re.compile(r"\bpg_advisory_unlock_all\s*\(", re.IGNORECASE)
_QUERIES = frozenset({"select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "do_stmt"})


@dataclass(frozen=True, slots=True)
class CopyData:
    """The rows that follow a COPY … FROM stdin, and the line of the first."""

    line: int
    buffer: Buffer = field(repr=False)
    start: int
    end: int

    @property
    def text(self) -> str:
        """All rows."""
        return b"".join(self.blocks()).decode()

    def blocks(self) -> Iterator[bytes]:
        """Yield the rows in blocks, with LF line ends."""
        yield from blocks_of(self.buffer, self.start, self.end)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a file.

    Attributes:
        text: The statement without its semicolon.
        line: The line of the file that it starts on, from 1.
        copy_data: The rows to send, for COPY … FROM stdin.
    """

    text: str
    line: int
    copy_data: CopyData | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it surely can run in a transaction, and leaves the session as it is."""
        return bool(_PLAIN.match(self.text)) and not _NOT_PLAIN.search(self.text)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the grammar says of a statement.

    Attributes:
        kind: The grammar's name of its kind, such as `create_stmt`; empty where it is too large to be parsed.
        node: Its tree, None where it is too large.
        creates: What it makes, such as `table users`; empty for all that makes nothing.
        locks: The tables that it locks, with the mode.
        losses: What it destroys.
        outside: The command that PostgreSQL refuses inside a transaction block; else empty.
        is_temporary: Whether it makes a table, view or sequence that ends with the session.
    """

    kind: str
    node: Node
    creates: str
    locks: tuple[TableLock, ...]
    losses: tuple[Loss, ...]
    outside: str
    is_temporary: bool = False


_UNPARSED = Analysis("", None, "", (), (), "")


def split(text: str, source: str) -> tuple[Statement, ...]:
    """Return the statements of a text that runs in a transaction; `source` names it in messages.

    Raises:
        MigrationError: the text is no SQL, has no statement, or has one that cannot be part of a transaction.
    """
    statements = tuple(statements_of(Part(Path(source), source, written=text)))
    for statement in statements:
        refuse_outside_transactions(statement, source)
    return statements


def statements_of(part: Part) -> Iterator[Statement]:
    """Yield the statements of a part, reading as it goes.

    Raises:
        MigrationError: the text is no SQL, or has no statement; a statement that no migration may have is among them.
    """
    found = False
    unwrapped = _without_blocks if part.is_foreign else _unwrapped
    for statement in unwrapped(_all_statements(part), part.source):
        found = True
        yield statement
    if not found and not part.is_foreign:
        msg = f"{part.source} has no statement; write its SQL or delete it"
        raise MigrationError(msg)


def _all_statements(part: Part) -> Iterator[Statement]:
    buffer, start, end = part.open()
    line, counted = part.first_line, start
    for chunk in _chunks(buffer, stretches(buffer, start, end, part.source, part.first_line)):
        line += count_lines(buffer, counted, chunk.pieces[0].start)
        counted = chunk.pieces[0].start
        yield from _split_chunk(chunk, line, part.source)


def analyse(statement: Statement, source: str) -> Analysis:
    """Return what the grammar says of a statement of the file `source`.

    Raises:
        MigrationError: it is no SQL, or no migration may have it.
    """
    if len(statement.text) > LARGEST_PARSED:
        return _UNPARSED
    try:
        node = grammar.parse(statement.text)
    except grammar.GrammarError as fault:
        raise syntax_fault(fault, statement.text, source, statement.line) from None
    kind = str(node.WhichOneof("node"))
    node = getattr(node, kind)
    if reason := _refusal(kind, node, statement.text):
        msg = f"{source}:{statement.line}: {reason}"
        raise MigrationError(msg)
    creates, locks = effects_of(kind, node)
    return Analysis(
        kind, node, creates, locks, losses_of(kind, node), outside_transactions(kind, node), _is_temporary(kind, node)
    )


def refuse_outside_transactions(statement: Statement, source: str) -> None:
    """Raise MigrationError where a statement cannot be part of a transaction."""
    if statement.is_plain:
        return
    if command := analyse(statement, source).outside:
        msg = (
            f"{source}:{statement.line}: {command} cannot run inside a transaction, and a migration is one;"
            " begin the file with the line `-- keelson: no-transaction`"
        )
        raise MigrationError(msg)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some whole statements, as stretches of a buffer; `rows` are those of the last one, if it is a COPY."""

    buffer: Buffer
    pieces: list[Stretch]
    rows: Stretch | None

    def text(self) -> bytes:
        """Return the SQL, with blanks and line ends in place of what only psql reads."""
        parts = (
            blank(self.buffer, piece) if piece.kind is Kind.SKIPPED else self.buffer[piece.start : piece.end]
            for piece in self.pieces
        )
        return b"".join(parts)


def blank(buffer: Buffer, piece: Stretch) -> bytes:
    """Return what takes the place of a stretch that the grammar shall not see: the lines after it stay the file's."""
    return b" " + b"\n" * count_lines(buffer, piece.start, piece.end)


def _chunks(buffer: Buffer, found: Iterable[Stretch]) -> Iterator[_Chunk]:
    """Yield some statements at a time: up to each COPY's rows, and each very large one alone."""
    pieces: list[Stretch] = []
    for statement, rows in _pieces(found):
        is_large = statement[-1].end - statement[0].start > LARGEST_PARSED
        if pieces and is_large:
            yield _Chunk(buffer, pieces, None)
            pieces = []
        pieces += statement
        if rows or is_large or pieces[-1].end - pieces[0].start > _TOGETHER:
            yield _Chunk(buffer, pieces, rows)
            pieces = []
    if pieces:
        yield _Chunk(buffer, pieces, None)


_TEXT = frozenset({Kind.CODE, Kind.COMMENT, Kind.QUOTED})


def _pieces(found: Iterable[Stretch]) -> Iterator[tuple[list[Stretch], Stretch | None]]:
    """Yield the stretches of each statement, those of its text as one, and its rows where it is a COPY."""
    pieces: list[Stretch] = []
    for stretch in found:
        if stretch.kind is Kind.ROWS:
            yield pieces, stretch
            pieces = []
            continue
        if pieces and pieces[-1].kind is Kind.END and stretch.kind is not Kind.SKIPPED:  # no rows follow
            yield pieces, None
            pieces = []
        if pieces and pieces[-1].kind in _TEXT and stretch.kind in _TEXT:  # a large statement has millions
            pieces[-1] = Stretch(Kind.CODE, pieces[-1].start, stretch.end)
        else:
            pieces.append(stretch)
    if pieces:
        yield pieces, None


def _split_chunk(chunk: _Chunk, line: int, source: str) -> Iterator[Statement]:
    text = chunk.text()
    places = places_of(text, source, line)
    first = line + text.count(b"\n")
    rows = CopyData(first, chunk.buffer, chunk.rows.start, chunk.rows.end) if chunk.rows else None
    for number, (start, end, its_line) in enumerate(places, 1):
        statement = Statement(text[start:end].decode().strip(), its_line)
        if _COPY.match(statement.text):
            yield _with_rows(statement, rows if number == len(places) else None, source)
        else:
            yield statement


def places_of(text: bytes, source: str, line: int) -> list[tuple[int, int, int]]:
    """Return where each statement of a text begins and ends, and on which line; the text begins on `line` of `source`.

    Raises:
        MigrationError: it is no SQL.
    """
    found, counted = [], 0
    for start, end in _places(text, source, line):
        line += text.count(b"\n", counted, start)
        counted = start
        found.append((start, end, line))
    return found


def _places(text: bytes, source: str, line: int) -> list[tuple[int, int]]:
    if len(text) > LARGEST_PARSED:  # then it is one statement, which only the server reads
        blank = _BLANK.match(text)
        return [(blank.end() if blank else 0, len(text.rstrip().removesuffix(b";")))]
    try:
        return grammar.places(text)
    except grammar.GrammarError as fault:
        raise syntax_fault(fault, text.decode(), source, line) from None


def syntax_fault(fault: grammar.GrammarError, text: str, source: str, line: int) -> MigrationError:
    """Return the sentence about a text that is no SQL and begins on `line` of `source`; what may be a secret is left out."""
    line += text.count("\n", 0, fault.position)
    return MigrationError(f"{source}:{line}: {_LITERAL.sub(_HIDDEN, fault.message)}; correct the SQL")


def _with_rows(statement: Statement, rows: CopyData | None, source: str) -> Statement:
    node = analyse(statement, source).node
    if node is None or node.filename or not node.is_from:
        return statement
    if rows is None:
        msg = (
            f"{source}:{statement.line}: COPY FROM stdin has no data;"
            " put the rows on the lines after it and \\. on a line of its own"
        )
        raise MigrationError(msg)
    return replace(statement, copy_data=rows)


def _unwrapped(statements: Iterable[Statement], source: str) -> Iterator[Statement]:
    """Leave out a BEGIN at the very start and its COMMIT at the very end, which say what is done anyway."""
    beginning: Statement | None = None
    end: Statement | None = None
    for number, statement in enumerate(statements):
        if end:
            raise _in_transaction(end, source)
        if number == 0 and _BEGIN.fullmatch(statement.text):
            beginning = statement
        elif beginning and _COMMIT.fullmatch(statement.text):
            end = statement
        else:
            yield statement
    if beginning and not end:
        raise _in_transaction(beginning, source)


def _without_blocks(statements: Iterable[Statement], source: str) -> Iterator[Statement]:
    """Leave out each BEGIN and COMMIT: what another tool's file commits on its way is kept or lost as one here."""
    beginning: Statement | None = None
    for statement in statements:
        if _BEGIN.fullmatch(statement.text) and not beginning:
            beginning = statement
        elif _COMMIT.fullmatch(statement.text):
            beginning = None
        else:
            yield statement
    if beginning:
        raise _in_transaction(beginning, source)


def _in_transaction(statement: Statement, source: str) -> MigrationError:
    return MigrationError(f"{source}:{statement.line}: {_TRANSACTION_STATEMENT}")


def _refusal(kind: str, node: Node, text: str) -> str:
    """Return why a statement cannot stand in a migration, or an empty text."""
    if kind == "transaction_stmt":
        return _TRANSACTION_STATEMENT
    if kind == "copy_stmt" and not node.is_from and not node.filename:
        return "COPY TO stdout has nowhere to write to; take it out"
    if (kind == "discard_stmt" and enum_name(node, "target") == "DISCARD_ALL") or (
        kind in _QUERIES and _FREES_LOCKS.search(text)
    ):
        return "it would give up the lock that keeps other runners out; take it out, as each file begins with a clean session"
    if kind == "variable_set_stmt" and (needed := _NEEDED.get(node.name)) and not _is_among(node, needed):
        return f"files are read with {node.name} = {needed[0]}, and this says otherwise; take it out"
    if kind == "create_table_as_stmt" and is_continuous(node):
        return "a continuous aggregate depends on TimescaleDB's edition; declare it in timescale.yaml"
    return ""


def is_continuous(node: Node) -> bool:
    """Say whether CREATE MATERIALIZED VIEW makes a continuous aggregate."""
    options = [option.def_elem for option in node.into.options]
    return any(option.defnamespace in TIMESCALE_OPTIONS and option.defname == "continuous" for option in options)


_NEEDED = {"client_encoding": ("utf8", "utf-8", "unicode"), "standard_conforming_strings": ("on", "true", "yes", "1")}


def _is_among(node: Node, values: tuple[str, ...]) -> bool:
    """Say whether SET … TO has one of these values; RESET and DEFAULT lead back to what the session began with."""
    constants = [argument.a_const for argument in node.args]
    return all((value.sval.sval or str(value.ival.ival)).lower() in values for value in constants)


_TEMPORARY = {
    "create_stmt": lambda node: node.relation,
    "create_table_as_stmt": lambda node: node.into.rel,
    "view_stmt": lambda node: node.view,
    "create_seq_stmt": lambda node: node.sequence,
    "select_stmt": lambda node: node.into_clause.rel,
}


def _is_temporary(kind: str, node: Node) -> bool:
    relation = _TEMPORARY[kind](node) if kind in _TEMPORARY else None
    return relation is not None and (relation.relpersistence == "t" or relation.schemaname == "pg_temp")


_NEVER_IN_TRANSACTION = {
    "createdb_stmt": "CREATE DATABASE",
    "dropdb_stmt": "DROP DATABASE",
    "alter_system_stmt": "ALTER SYSTEM",
    "create_table_space_stmt": "CREATE TABLESPACE",
    "drop_table_space_stmt": "DROP TABLESPACE",
    "drop_subscription_stmt": "DROP SUBSCRIPTION",
    "create_subscription_stmt": "CREATE SUBSCRIPTION",
}


def outside_transactions(kind: str, node: Node) -> str:  # noqa: PLR0911 - one line for each kind
    """Return the command that PostgreSQL refuses inside a transaction block, or an empty text."""
    if kind in _NEVER_IN_TRANSACTION:
        return _NEVER_IN_TRANSACTION[kind]
    if kind == "vacuum_stmt" and node.is_vacuumcmd:
        return "VACUUM"
    if kind == "cluster_stmt" and not node.relation.relname:
        return "CLUSTER of all tables"
    if kind == "index_stmt" and node.concurrent:
        return "CREATE INDEX CONCURRENTLY"
    if kind == "index_stmt" and any(option.def_elem.defname == "transaction_per_chunk" for option in node.options):
        return "CREATE INDEX WITH (timescaledb.transaction_per_chunk)"
    if kind == "drop_stmt" and node.concurrent:
        return "DROP INDEX CONCURRENTLY"
    if kind == "reindex_stmt" and _reindexes_outside(node):
        return "this form of REINDEX"
    if kind == "alter_table_stmt" and any(_detaches_concurrently(command.alter_table_cmd) for command in node.cmds):
        return "DETACH PARTITION CONCURRENTLY"
    return ""


def _reindexes_outside(node: Node) -> bool:
    whole = {"REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"}
    return enum_name(node, "kind") in whole or any(option.def_elem.defname == "concurrently" for option in node.params)


def _detaches_concurrently(command: Node) -> bool:
    return bool(getattr(command, "def").partition_cmd.concurrent)
