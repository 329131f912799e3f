"""What stands in a file beside SQL's grammar, read as psql reads it: where statements end, comments, meta-commands, rows.

Quotes, comments, parentheses and SQL bodies are followed just far enough to know which semicolons end a statement, so that
a file of any length is read in pieces. What a piece means says PostgreSQL's own grammar, in `statements`.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from keelson.errors import MigrationError

Buffer = bytes | mmap.mmap  # UTF-8 without byte order mark

BLOCK = 1 << 20  # bytes that are looked at together

_WORD = rb"A-Za-z0-9_$\x80-\xff"
_TOKEN = re.compile(
    rb"""
      (?P<comment> --[^\n]* )
    | (?P<block> /\* )
    | (?P<quoted> (?<![%(w)s])[eE]'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+' | '[^']*+(?:''[^']*+)*+' | "[^"]*" )
    | (?<![%(w)s])(?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$)
    | (?P<open> ['"] )
    | (?P<backslash> \\ )
    | (?P<semicolon> ; )
    | (?P<enter> \( )
    | (?P<leave> \) )
    """
    % {b"w": _WORD},
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(rb"/\*|\*/")
# What pg_dump of the releases since August 2025 writes round its text.
_HARMLESS = re.compile(rb"\\(un)?restrict\b[^\n]*")
_COPY = re.compile(rb"\s*copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_MAY_COPY = re.compile(rb"\s*(?:copy\b|--|/\*|\\)", re.IGNORECASE)
_END_OF_DATA = re.compile(rb"^\\\.[ \t]*\r?$", re.MULTILINE)
_HIDDEN = re.compile(rb"--[^\n]*|\\(?:un)?restrict\b[^\n]*|/\*.*?\*/|'[^']*'|\"[^\"]*\"", re.DOTALL)
_ROUTINE = re.compile(rb"\s*create\s+(?:or\s+replace\s+)?(?:function|procedure)\b", re.IGNORECASE)
_ATOMIC = re.compile(rb"\batomic\b", re.IGNORECASE)
_BODY_EDGE = re.compile(rb"\b(?:(begin\s+atomic|case)|end)\b", re.IGNORECASE)
_LONGEST_HEAD = 1 << 16  # bytes of a statement in which COPY … FROM stdin is looked for


class Kind(Enum):
    """What a stretch of a file is."""

    CODE = auto()
    COMMENT = auto()
    QUOTED = auto()
    END = auto()  # a semicolon that ends a statement
    ROWS = auto()  # after COPY … FROM stdin; without the line that ends them
    SKIPPED = auto()  # a line for psql alone


class Stretch(NamedTuple):
    """Bytes from `start` up to `end`."""

    kind: Kind
    start: int
    end: int


def stretches(buffer: Buffer, start: int, end: int, source: str, first_line: int = 1) -> Iterator[Stretch]:
    """Yield all of `buffer` between two positions, in order; `source` and `first_line` are for messages.

    Raises:
        MigrationError: a meta-command of psql stands there.
    """
    reader = _Reader(buffer, start, end, source, first_line)
    position = done = start
    while (
        match := _TOKEN.search(buffer, position, end)
    ) and match.lastgroup != "open":  # unterminated: the grammar says where
        position = match.end()
        if whole := _WHOLE.get(str(match.lastgroup)):
            if match.start() > done:
                yield Stretch(Kind.CODE, done, match.start())
            yield Stretch(whole, match.start(), position)
            done = position
            continue
        if not reader.marks(match):
            continue
        if match.start() > done:
            yield Stretch(Kind.CODE, done, match.start())
        for stretch in reader.read(match):
            yield stretch
            position = done = stretch.end
    if done < end:
        yield Stretch(Kind.CODE, done, end)


_WHOLE = {"comment": Kind.COMMENT, "quoted": Kind.QUOTED}  # tokens that are all of their stretch
_KINDS = {
    "block": Kind.COMMENT,
    "dollar": Kind.QUOTED,
    "backslash": Kind.SKIPPED,
}


@dataclass(slots=True)
class _Reader:
    """Where in a text the reading is: the statement's start, and how many parentheses are open."""

    buffer: Buffer
    start: int
    end: int
    source: str
    first_line: int
    statement: int = -1
    depth: int = 0

    def __post_init__(self) -> None:
        self.statement = self.start

    def marks(self, token: re.Match[bytes]) -> bool:
        """Say whether a token ends the stretch of code before it."""
        kind = token.lastgroup
        if kind == "enter":
            self.depth += 1
        elif kind == "leave":
            self.depth = max(0, self.depth - 1)
        elif kind == "semicolon":
            return not self.depth and not _is_inside_body(self.buffer, self.statement, token.end())
        else:
            return True
        return False

    def read(self, token: re.Match[bytes]) -> Iterator[Stretch]:
        """Yield what begins with a token: one stretch, or a statement's end with the rows that follow it."""
        kind, start, end = str(token.lastgroup), token.start(), token.end()
        if kind == "semicolon":
            yield from self._end_statement(start, end)
            return
        if kind == "backslash":
            end = _end_of_harmless(self.buffer, self.start, start, self.end, (self.source, self.first_line))
        elif kind == "block":
            end = _end_of_block(self.buffer, end, self.end)
        elif kind == "dollar":
            end = _end_of_dollars(self.buffer, token, self.end)
        yield Stretch(_KINDS[kind], start, end)

    def _end_statement(self, start: int, end: int) -> Iterator[Stretch]:
        yield Stretch(Kind.END, start, end)
        if rows := _rows_after(self.buffer, self.statement, end, self.end):
            yield Stretch(Kind.SKIPPED, end, rows.start)
            yield rows
            end = _end_of_line(self.buffer, rows.end, self.end)
            yield Stretch(Kind.SKIPPED, rows.end, end)
        self.statement = end


def count_lines(buffer: Buffer, start: int, end: int) -> int:
    """Return how many line ends stand between two positions."""
    return sum(buffer[at : min(at + BLOCK, end)].count(b"\n") for at in range(start, end, BLOCK))


def _is_inside_body(buffer: Buffer, statement: int, end: int) -> bool:
    """Say whether a semicolon stands inside a routine's BEGIN ATOMIC … END."""
    if not _ATOMIC.search(buffer, statement, end):
        return False
    shown = _HIDDEN.sub(b" ", buffer[statement:end])
    edges = [1 if edge[1] else -1 for edge in _BODY_EDGE.finditer(shown)]
    return bool(_ROUTINE.match(shown)) and sum(edges) > 0


def _end_of_block(buffer: Buffer, position: int, end: int) -> int:
    depth = 1
    for edge in _BLOCK_EDGE.finditer(buffer, position, end):
        depth += 1 if edge[0] == b"/*" else -1
        if not depth:
            return edge.end()
    return end


def _end_of_dollars(buffer: Buffer, opening: re.Match[bytes], end: int) -> int:
    tag = opening[0]
    found = buffer.find(tag, opening.end(), end)
    return end if found < 0 else found + len(tag)


def _end_of_harmless(buffer: Buffer, start: int, position: int, end: int, where: tuple[str, int]) -> int:
    if match := _HARMLESS.match(buffer, position, end):
        return match.end()
    source, first_line = where
    line = first_line + count_lines(buffer, start, position)
    command = buffer[position : position + 80].split(maxsplit=1)[0].decode(errors="replace")
    msg = f"{source}:{line}: {command} is a command of psql, not SQL; write it as SQL or take it out"
    raise MigrationError(msg)


def _rows_after(buffer: Buffer, statement: int, semicolon: int, end: int) -> Stretch | None:
    if not _MAY_COPY.match(buffer, statement, semicolon):
        return None
    head = buffer[statement : min(semicolon, statement + _LONGEST_HEAD)]
    if not _COPY.match(_HIDDEN.sub(b" ", head)):
        return None
    first = _end_of_line(buffer, semicolon, end)
    last = _END_OF_DATA.search(buffer, first, end) if first < end else None
    return Stretch(Kind.ROWS, first, last.start()) if last else None  # else `statements` names the fault: no data


def _end_of_line(buffer: Buffer, position: int, end: int) -> int:
    found = buffer.find(b"\n", position, end)
    return end if found < 0 else found + 1
