"""A file as the linter reads it: the text that squawk can read too, its statements as trees, its comments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from keelson.migrations import grammar
from keelson.migrations.grammar import Node
from keelson.migrations.parts import Part
from keelson.migrations.script import Buffer, Kind, Stretch, stretches
from keelson.migrations.statements import LARGEST_PARSED, blank, places_of


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement with its tree; `start` and `end` are places in the text's bytes, lines are those of the file."""

    kind: str
    node: Node = field(compare=False, repr=False)
    start: int
    end: int
    line: int
    last_line: int


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment from `--` to the end of its line."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A part that was read.

    Attributes:
        source: The path relative to the project, for messages.
        transaction: Whether it runs in a transaction.
        text: Its SQL, on the lines where it stands; without rows of COPY and what only psql understands.
        statements: All of them, in order.
        comments: Those of one line.
        is_whole: Whether all of it was read; a text of many megabytes is not.
    """

    source: str
    transaction: bool
    text: str
    statements: tuple[Parsed, ...]
    comments: tuple[Comment, ...]
    is_whole: bool = True

    def statement_at(self, line: int, column: int) -> Parsed | None:
        """Return the statement at a place that is given by line and byte, both from 0."""
        here = [statement for statement in self.statements if statement.line - 1 <= line < statement.last_line]
        if len(here) > 1:  # several on a line
            before = sum(len(text) + 1 for text in self.text.encode().split(b"\n")[:line])
            here = [statement for statement in here if statement.start <= before + column]
        return here[-1] if here else None


def read(part: Part, *, transaction: bool = True) -> Reading:
    """Read a part.

    Raises:
        MigrationError: it is no SQL, or has a meta-command of psql.
    """
    buffer, start, end = part.open()
    line = part.first_line
    sql, comments = bytearray(b"\n" * (line - 1)), []
    for stretch in stretches(buffer, start, end, part.source, line):
        shown = _shown(buffer, stretch)
        if stretch.kind is Kind.COMMENT and shown.startswith(b"--"):
            comments.append(Comment(line, shown.decode().strip()))
        sql += shown
        line += shown.count(b"\n")
        if len(sql) > LARGEST_PARSED:
            return Reading(part.source, transaction, "", (), (), is_whole=False)
    statements = tuple(_statements(bytes(sql), part.source))
    return Reading(part.source, transaction, sql.decode(), statements, tuple(comments))


def _shown(buffer: Buffer, stretch: Stretch) -> bytes:
    left_out = stretch.kind in {Kind.SKIPPED, Kind.ROWS}
    return blank(buffer, stretch) if left_out else buffer[stretch.start : stretch.end]


def _statements(text: bytes, source: str) -> Iterator[Parsed]:
    for start, end, line in places_of(text, source, 1):
        node = grammar.parse(text[start:end].decode())
        kind = str(node.WhichOneof("node"))
        yield Parsed(kind, getattr(node, kind), start, end, line, line + text.count(b"\n", start, end))
