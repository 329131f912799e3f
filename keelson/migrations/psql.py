"""What psql understands in a file beside SQL: meta-commands, and data inline after COPY … FROM stdin.

Quotes, comments and dollar quotes are followed just far enough to tell a backslash or a semicolon of the SQL from one
inside a text. The grammar itself is PostgreSQL's, in `statements`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from keelson.errors import MigrationError

# What pg_dump of the releases since August 2025 writes round its text.
_HARMLESS = re.compile(r"\\(un)?restrict\b[^\n]*")
_COPY = re.compile(r"\A\s*copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_END_OF_DATA = re.compile(r"^\\\.[ \t]*$", re.MULTILINE)
_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* )
    | (?P<block> /\* )
    | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | (?<![\w$])(?P<dollar>\$(?:[^\W\d]\w*)?\$).*?(?P=dollar)
    | (?P<open> ['"] | (?<![\w$])\$(?:[^\W\d]\w*)?\$ )
    | (?P<backslash> \\ )
    | (?P<semicolon> ; )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class PlainSql:
    """SQL alone, with the lines of the file; `data` holds the rows of each COPY … FROM stdin, with their first line."""

    text: str
    data: tuple[tuple[int, str], ...]


def strip(text: str, source: str) -> PlainSql:
    """Return `text` without what only psql understands, each line where it was.

    Raises:
        MigrationError: a meta-command stands in the text.
    """
    parts: list[str] = []
    data: list[tuple[int, str]] = []
    position = 0
    for start, end, rows in _cuts(text, source):
        parts += [text[position:start], "\n" * text.count("\n", start, end)]
        position = end
        if rows is not None:
            data.append((text.count("\n", 0, rows[0]) + 1, text[slice(*rows)]))
    return PlainSql("".join([*parts, text[position:]]), tuple(data))


def _cuts(text: str, source: str) -> Iterator[tuple[int, int, tuple[int, int] | None]]:
    """Yield where text is to be blanked out, and where in it rows of data stand."""
    position = statement = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        if match["open"]:
            return  # unterminated: the grammar says where
        if match["block"]:
            position = _end_of_block(text, position)
        elif match["backslash"]:
            position = _end_of_harmless(text, match.start(), source)
            yield match.start(), position, None
        elif match["semicolon"]:
            if rows := _rows_after(text, statement, match.end()):
                yield rows
                position = rows[1]
            statement = position


def _end_of_block(text: str, position: int) -> int:
    depth = 1
    for edge in _BLOCK_EDGE.finditer(text, position):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def _end_of_harmless(text: str, start: int, source: str) -> int:
    if match := _HARMLESS.match(text, start):
        return match.end()
    line = text.count("\n", 0, start) + 1
    command = text[start:].split(maxsplit=1)[0]
    msg = f"{source}:{line}: {command} is a command of psql, not SQL; write it as SQL or take it out"
    raise MigrationError(msg)


def _rows_after(text: str, start: int, end: int) -> tuple[int, int, tuple[int, int]] | None:
    if not _COPY.search(_without_comments(text[start:end])):
        return None
    first = text.find("\n", end) + 1
    last = _END_OF_DATA.search(text, first) if first else None
    if last is None:
        return None  # statements names the fault: no data follow
    return end, last.end(), (first, last.start())


def _without_comments(text: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
