"""Files that hold the way up and the way down: goose's, dbmate's and tern's, told apart by lines that are comments of SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from keelson.errors import MigrationError
from keelson.migrations.files import MigrationFile
from keelson.migrations.formats.directory import Directory, refuse_twins, with_rising_versions, words
from keelson.migrations.parts import Part
from keelson.migrations.script import BLOCK, Kind, count_lines, stretches

Cut = Callable[[Part], tuple[Part, Part | None]]

LINE = rb"(?:^|(?<=\xef\xbb\xbf))"  # where a line begins, after a byte order mark too
_NAME = re.compile(r"(?P<number>[0-9]+)(?P<words>.*)\.sql")


@dataclass(frozen=True, slots=True)
class Marker:
    """A line that says something to the tool: its text, where it begins and where the next line does."""

    text: str
    start: int
    end: int


class Text:
    """A file's bytes and the markers in it."""

    def __init__(self, part: Part, pattern: re.Pattern[bytes]) -> None:
        self.part = part
        self._buffer, self._start, self._end = part.open()
        self.markers = [
            Marker(match["text"].decode(errors="replace").strip(), match.start(), match.end())
            for match in pattern.finditer(self._buffer, self._start, self._end)
        ]

    def between(self, start: int | None, end: int | None, *, transaction: bool = True) -> Part:
        """Return the section between two positions; None is where the file begins or ends."""
        first = self._start if start is None else start
        line = 1 + count_lines(self._buffer, self._start, first)
        span = (first - self._start, (self._end if end is None else end) - self._start)
        return replace(self.part, span=span, first_line=line, transaction=transaction)

    def refuse_sql_before(self, position: int, why: str) -> None:
        """Raise MigrationError where something else than comments stands before a position."""
        for stretch in stretches(self._buffer, self._start, position, self.part.source):
            code = bytes(self._buffer[stretch.start : stretch.end])
            if stretch.kind is not Kind.COMMENT and code.strip():
                blank = len(code) - len(code.lstrip())
                self.refuse(stretch.start + blank, why)

    def refuse(self, position: int, why: str) -> NoReturn:
        """Raise MigrationError about what stands at a position."""
        line = 1 + count_lines(self._buffer, self._start, position)
        msg = f"{self.part.source}:{line}: {why}"
        raise MigrationError(msg)


def read_numbered(directory: Directory, tool: str, example: str, cut: Cut) -> tuple[MigrationFile, ...]:
    """Return the migrations of a directory in the order of their numbers; `cut` finds the sections of a file.

    Raises:
        MigrationError: a name is none of `tool`'s, two files have one number, or a file is wrong.
    """
    files = []
    for name in directory.migrations:
        match = _NAME.fullmatch(name)
        if match is None or (directory.path / name).is_dir():
            directory.refuse(name, f"is no migration's name of {tool}; name it like {example}, or move it elsewhere")
        up, undo = cut(directory.part(name))
        files.append(MigrationFile.of(name, int(match["number"]), words(match["words"]), up, undo))
    files.sort(key=lambda file: file.version or 0)
    refuse_twins(directory, files, lambda file: file.version)
    return with_rising_versions(files)


def has_marker(directory: Directory, pattern: re.Pattern[bytes]) -> bool:
    """Say whether the first numbered file of a directory has a marker in its first block."""
    first = next((name for name in directory.names if _NAME.fullmatch(name)), None)
    if first is None or (directory.path / first).is_dir():
        return False
    buffer, start, end = directory.part(first).open()
    return pattern.search(buffer, start, min(end, start + BLOCK)) is not None


def marker(words_of_tool: bytes) -> re.Pattern[bytes]:
    """Return the pattern of lines `-- <words of the tool><text>`."""
    return re.compile(
        LINE + rb"[ \t]*--[ \t]*" + words_of_tool + rb"(?P<text>[^\n]*)(?:\n|\Z)", re.MULTILINE | re.IGNORECASE
    )


def options_of(text: str) -> Sequence[str]:
    """Return the words of a marker after its first."""
    return text.lower().split()[1:]
