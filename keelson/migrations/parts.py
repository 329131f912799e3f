"""A stretch of SQL on disk: reading it without holding all of a large file, and what its text says of itself."""

from __future__ import annotations

import hashlib
import itertools
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from keelson.errors import MigrationError
from keelson.migrations.script import BLOCK, Buffer, Kind, count_lines, stretches

LARGE = 4 * BLOCK  # bytes from which a file is mapped rather than read
_MARK = b"\xef\xbb\xbf"  # UTF-8's byte order mark

_DESCRIPTION = re.compile(rb"--[ \t]*Description:[ \t]*(?P<text>\S.*?)\s*", re.IGNORECASE)
_DIRECTIVE = re.compile(rb"--[ \t]*keelson:[ \t]*(?P<name>[^\s:]*)(?P<rest>.*?)\s*", re.IGNORECASE)
_NO_TRANSACTION = "no-transaction"
_ENVIRONMENT = "environment"
# Where other tools' files go from one way to the other: run as one, they would undo what they do.
_SECTION = re.compile(
    rb"--\s*(?:(?P<goose>\+goose\s+(?:up|down))|(?P<dbmate>migrate:(?:up|down))|(?P<tern>-- create above / drop below ----)).*",
    re.IGNORECASE,
)
_SQLX = re.compile(rb"-- no-transaction\s*")  # as the first line of its files, which are named like ours
_ELSEWHERE = frozenset({"allow"})  # directives that may stand anywhere
_PUNCTUATION = re.compile(rb" ?([(),\[\]]) ?")


@dataclass(frozen=True, slots=True)
class Facts:
    """What reading a part yields: plain values, which may be kept.

    Attributes:
        text_sha256: Hash of the text without byte order mark and with LF line ends.
        sha256: Hash of its meaning: without comments, and white space alike; with the directives that say how it runs.
        description: What its first comment line says after `Description:`.
        transaction: Whether it runs in a transaction, which the directive `no-transaction` denies.
    """

    text_sha256: str
    sha256: str
    description: str
    transaction: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A file's SQL, or a section of it, or SQL that a program wrote.

    Attributes:
        path: The file.
        source: The path relative to the project, for messages.
        span: Where in the file the section stands, in bytes after the byte order mark; None for all of it.
        first_line: The line of the file that it begins on.
        written: The text, where a program wrote it.
        transaction: Whether it runs in a transaction, as far as what surrounds it says.
        is_foreign: Whether it is written for another tool, so that it may be empty, and may begin and commit transactions.
        is_seed: Whether it is a seed, which may say for which environments it is.
        held: What `open` returns, where it is read already.
    """

    path: Path
    source: str
    span: tuple[int, int] | None = None
    first_line: int = 1
    written: str | None = field(default=None, repr=False)
    transaction: bool = True
    is_foreign: bool = False
    is_seed: bool = False
    held: tuple[Buffer, int, int] | None = field(default=None, repr=False, compare=False)

    def open(self) -> tuple[Buffer, int, int]:
        """Return what holds the text, and where in that it begins and ends.

        Raises:
            MigrationError: the file cannot be read.
        """
        if self.held:
            return self.held
        buffer = self.written.encode() if self.written is not None else open_file(self.path, self.source)
        start = len(_MARK) if buffer[: len(_MARK)] == _MARK else 0
        return (
            (buffer, start, len(buffer)) if self.span is None else (buffer, start + self.span[0], start + self.span[1])
        )

    def opened(self) -> Part:
        """Return the part with its text read, or mapped if it is large; raises MigrationError."""
        return replace(self, held=self.open())

    def size(self) -> int:
        """Return how many bytes the text has; raises MigrationError."""
        _, start, end = self.open()
        return end - start

    def text(self) -> str:
        """Return the text without byte order mark and with LF line ends.

        Raises:
            MigrationError: it cannot be read or is not UTF-8.
        """
        return b"".join(self._checked(*self.open())).decode()

    def text_sha256(self) -> str:
        """Return the hash of the text; raises MigrationError when it cannot be read or is not UTF-8."""
        return self._hash_text(*self.open())[0]

    def facts(self) -> Facts:
        """Read all of it once.

        Raises:
            MigrationError: it cannot be read, is empty, is not UTF-8, or has a meta-command of psql or a wrong directive.
        """
        buffer, start, end = self.open()
        text_sha256, is_empty = self._hash_text(buffer, start, end)
        if is_empty and not self.is_foreign:
            msg = f"{self.source} is empty; write its SQL or delete it"
            raise MigrationError(msg)
        reading = _Reading(self, buffer, start)
        for stretch in stretches(buffer, start, end, self.source, self.first_line):
            reading.take(stretch.kind, stretch.start, stretch.end)
        return Facts(text_sha256, reading.finish(), reading.description, reading.transaction)

    def blocks(self) -> Iterator[bytes]:
        """Yield the text in blocks of whole lines, without byte order mark and with LF line ends; raises MigrationError."""
        yield from blocks_of(*self.open())

    def _hash_text(self, buffer: Buffer, start: int, end: int) -> tuple[str, bool]:
        """Return the hash of the text and whether it is blank; every byte is checked to be UTF-8."""
        digest, is_empty = hashlib.sha256(), True
        for block in self._checked(buffer, start, end):
            digest.update(block)
            is_empty = is_empty and not block.strip()
        return digest.hexdigest(), is_empty

    def _checked(self, buffer: Buffer, start: int, end: int) -> Iterator[bytes]:
        """Yield the text in blocks; raises MigrationError at one that is not UTF-8."""
        for number, block in enumerate(blocks_of(buffer, start, end)):
            if fault := _fault(block):
                before = itertools.islice(blocks_of(buffer, start, end), number)
                sizes = [(len(each), each.count(b"\n")) for each in before]
                byte = sum(size for size, _ in sizes) + fault[0]
                line = self.first_line + sum(lines for _, lines in sizes) + block.count(b"\n", 0, fault[0])
                msg = f"{self.source}:{line}: {fault[1]} at byte {byte}; save the file as UTF-8"
                raise MigrationError(msg)
            yield block


def text_hash(text: str) -> str:
    """Return the SHA-256 of a normalised text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def open_file(path: Path, source: str) -> Buffer:
    """Return a file's bytes, with LF line ends unless it is large, in which case it is mapped.

    Raises:
        MigrationError: it cannot be read.
    """
    with reading(source), path.open("rb") as file:
        data = file.read(LARGE)
        if len(data) == LARGE:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return with_line_feeds(data)


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn what the system says of a file that cannot be read into one sentence."""
    try:
        yield
    except OSError as fault:
        msg = f"{source} cannot be read: {fault.strerror}; restore the file or give read access to it"
        raise MigrationError(msg) from None


def with_line_feeds(data: bytes) -> bytes:
    """Return data with LF line ends."""
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data


def _fault(block: bytes) -> tuple[int, str] | None:
    """Return the first byte that no text has, and what is wrong with it."""
    try:
        block.decode()
    except UnicodeDecodeError as fault:
        return fault.start, "not UTF-8"
    zero = block.find(b"\0")
    return None if zero < 0 else (zero, "a zero byte")


def blocks_of(buffer: Buffer, start: int, end: int) -> Iterator[bytes]:
    """Yield the text in blocks that end with a line where there is one, with LF line ends."""
    while start < end:
        stop = min(start + BLOCK, end)
        if stop < end:
            stop = (buffer.rfind(b"\n", start, stop) + 1) or _after_character(buffer, stop)
        yield with_line_feeds(buffer[start:stop])
        start = stop


def _after_character(buffer: Buffer, position: int) -> int:
    """Return where the next character begins that ends no line: CR and LF stay together."""
    while position < len(buffer) and (buffer[position] & 0xC0 == 0x80 or buffer[position : position + 1] == b"\n"):  # noqa: PLR2004 - UTF-8's continuation bytes
        position += 1
    return position


class _Reading:
    """Gathers what the stretches of a part say."""

    def __init__(self, part: Part, buffer: Buffer, start: int) -> None:
        self._part, self._buffer, self._start = part, buffer, start
        self._digest = hashlib.sha256()
        self._code = bytearray()
        self._is_header = True
        self._has_statement = False
        self.description = ""
        self.transaction = part.transaction
        self._has_comment = False

    def take(self, kind: Kind, start: int, end: int) -> None:
        if kind is Kind.CODE:
            self._take_code(self._buffer[start:end])
        elif kind is Kind.COMMENT:
            self._code += b" "
            self._take_comment(start, end)
        elif kind is Kind.END:
            self._end_statement()
        elif kind is not Kind.SKIPPED:
            self._take_verbatim(start, end)

    def finish(self) -> str:
        """Return the hash of what was taken, in hex."""
        self._end_statement()
        return self._digest.hexdigest()

    def _take_code(self, code: bytes) -> None:
        self._code += code
        if self._is_header and not code.isspace():
            self._is_header = False

    def _take_verbatim(self, start: int, end: int) -> None:
        self._is_header = False
        self._flush()
        if end - start <= BLOCK:
            self._digest.update(with_line_feeds(self._buffer[start:end]))
            return
        for block in blocks_of(self._buffer, start, end):
            self._digest.update(block)

    def _flush(self) -> None:
        if self._code:
            alike = b" ".join(self._code.split())
            alike = (b" " if self._code[:1].isspace() else b"") + alike + (b" " if self._code[-1:].isspace() else b"")
            self._digest.update(_PUNCTUATION.sub(rb"\1", alike if self._has_statement else alike.lstrip()))
            self._has_statement = self._has_statement or not self._code.isspace()
            self._code.clear()

    def _end_statement(self) -> None:
        while self._code[-1:].isspace():
            del self._code[-1:]
        self._flush()
        if self._has_statement:
            self._digest.update(b";")
        self._has_statement = False

    def _take_comment(self, start: int, end: int) -> None:
        comment = self._buffer[start : min(end, start + BLOCK)]
        if match := _DIRECTIVE.fullmatch(comment):
            self._obey(match["name"].decode().lower(), start)
        elif self._is_header and not self._has_comment and _SQLX.fullmatch(comment):
            self._run_freely()
        elif match := _SECTION.fullmatch(comment):
            self._refuse_section(str(match.lastgroup), match[0].decode(errors="replace").strip(), start)
        elif not self._has_comment and self._is_header and (match := _DESCRIPTION.fullmatch(comment)):
            self.description = match["text"].decode()
        self._has_comment = True

    def _where(self, position: int) -> str:
        line = self._part.first_line + count_lines(self._buffer, self._start, position)
        return f"{self._part.source}:{line}"

    def _refuse_section(self, tool: str, marker: str, start: int) -> None:
        msg = (
            f"{self._where(start)}: {marker!r} begins a section of a file of {tool}, which is not how this directory is read;"
            f" let all of its files be {tool}'s, and say so by the setting 'migrations.format' or --format {tool}"
        )
        raise MigrationError(msg)

    def _obey(self, directive: str, start: int) -> None:
        if directive in _ELSEWHERE or (directive == _ENVIRONMENT and self._part.is_seed):
            return
        where = self._where(start)
        if directive != _NO_TRANSACTION:
            msg = f"{where}: {directive or 'nothing'} is no directive; there are {_NO_TRANSACTION} and allow"
            raise MigrationError(msg)
        if not self._is_header:
            msg = f"{where}: the directive {directive} must stand before the first statement; move it there"
            raise MigrationError(msg)
        self._run_freely()

    def _run_freely(self) -> None:
        self.transaction = False
        self._digest.update(b"-- keelson: no-transaction\n")
