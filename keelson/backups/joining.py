"""Makes one dump of the two files of a large database's, as they pass: what pg_dump would have written in one stream.

pg_dump's custom format (src/bin/pg_dump/pg_backup_archiver.c, WriteHead and WriteToc, and pg_backup_custom.c) is a head, a table of
contents, and for each table a block of data that bears the number of its entry. Of the second file only the rows are taken; they get
numbers that the first one does not use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from keelson.backups.sealing import BLOCK, Passing
from keelson.errors import BackupError

MAGIC = b"PGDMP"
VERSIONS = {(1, 15), (1, 16)}  # of pg_dump 16, and of 17 and later
WITH_KINDS = (1, 16)  # from which on entries have the kind of their relation
CUSTOM, ROWS = 1, 1  # the format; the mark of a block of rows
DATES = 7  # numbers that say when a dump was begun
AFTER = 4  # the section of what is made after the rows
TABLES = b"1259"  # pg_class


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a table of contents: its parts as they are written, and those of them that matter here."""

    number: int
    kind: bytes
    section: int
    catalog: bytes
    oid: bytes
    before: bytes  # what is written between its number and what it depends on
    needs: Sequence[bytes]
    position: bytes


class Archive:
    """A dump that is read from its beginning to its end."""

    def __init__(self, source: Passing) -> None:
        self._source, self._rest = source, b""
        self.head, self._numbers, self._offsets, self._version = self._read_head()
        self.entries = [self._entry() for _ in range(self.number(self.take(self._numbers + 1)))]

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        blocks, missing = [self._rest[:size]], size - len(self._rest[:size])
        self._rest = self._rest[size:]
        while missing > 0:
            if not (block := self._source.read(BLOCK)):
                msg = "a dump of the backup ends too early; use another backup"
                raise BackupError(msg)
            blocks.append(block[:missing])
            self._rest, missing = block[missing:], missing - len(block[:missing])
        return b"".join(blocks)

    def blocks(self) -> Iterator[bytes]:
        """Give the rest as it is."""
        yield self._rest
        while block := self._source.read(BLOCK):
            yield block

    def rows(self, numbers: dict[int, int]) -> Iterator[bytes]:
        """Give the rest, which is blocks of rows alone, with other numbers."""
        while mark := self._next():
            if mark[0] != ROWS:
                msg = f"a dump of the backup holds something else than rows (a block {mark[0]}); export it with the Keelson that made it"
                raise BackupError(msg)
            yield mark + self.written(numbers[self.number(self.take(self._numbers + 1))])
            while length := self.number(raw := self.take(self._numbers + 1)):
                yield raw
                yield self.take(length)
            yield raw

    def number(self, raw: bytes) -> int:
        """Return the number that is written so: its sign, then its bytes."""
        return int.from_bytes(raw[1:], "little") * (-1 if raw[0] else 1)

    def written(self, number: int) -> bytes:
        """Return how a number is written."""
        return bytes([number < 0]) + abs(number).to_bytes(self._numbers, "little")

    def entry(self, entry: Entry) -> bytes:
        """Return how an entry is written."""
        needs = b"".join(self.written(len(need)) + need for need in entry.needs)
        return self.written(entry.number) + entry.before + needs + self.written(-1) + entry.position

    def _next(self) -> bytes:
        """Return the next byte, nothing at the end."""
        self._rest = self._rest or self._source.read(BLOCK)
        return self.take(1) if self._rest else b""

    def _read_head(self) -> tuple[bytes, int, int, tuple[int, int]]:
        start = self.take(len(MAGIC) + 7)  # version, widths of numbers and offsets, format, compression
        version, widths = (start[5], start[6]), (start[8], start[9])
        if start[:5] != MAGIC or version not in VERSIONS or start[10] != CUSTOM:
            msg = f"the backup's files have pg_dump's format {version[0]}.{version[1]}, which this version cannot join; update Keelson"
            raise BackupError(msg)
        self._numbers = widths[0]
        dates = self.take(DATES * (self._numbers + 1))
        names = b"".join(self._text()[0] for _ in range(3))
        return start + dates + names, *widths, version

    def _text(self) -> tuple[bytes, bytes | None]:
        """Return a text as it is written, and as it is; None where there is none."""
        length = self.number(raw := self.take(self._numbers + 1))
        text = self.take(length) if length > 0 else b""
        return raw + text, None if length < 0 else text

    def _entry(self) -> Entry:
        number = self.number(self.take(self._numbers + 1))
        dumped = self.take(self._numbers + 1)
        texts = [self._text() for _ in range(4)]  # catalog, oid, tag, kind
        section = self.take(self._numbers + 1)
        more = [self._text()[0] for _ in range(6)]  # definition, drop, copy, schema, tablespace, access method
        relation = self.take(self._numbers + 1) if self._version >= WITH_KINDS else b""
        more += [relation, self._text()[0], self._text()[0]]  # owner, and a word that older versions have for oids
        before = b"".join([dumped, *(raw for raw, _ in texts), section, *more])
        needs = tuple(iter(lambda: self._text()[1], None))
        catalog, oid, _, kind = (text or b"" for _, text in texts)
        return Entry(number, kind, self.number(section), catalog, oid, before, needs, self.take(self._offsets + 1))


def join(first: Passing, second: Passing, write: Callable[[bytes], object]) -> None:
    """Write both as one.

    Raises:
        BackupError: they are of another version of pg_dump than those that are known.
    """
    whole, further = Archive(first), Archive(second)
    tables = {entry.oid: str(entry.number).encode() for entry in whole.entries if entry.catalog == TABLES}
    last = max((entry.number for entry in whole.entries), default=0)
    rows = [entry for entry in further.entries if entry.kind == b"TABLE DATA"]
    numbers = {entry.number: last + place for place, entry in enumerate(rows, 1)}
    added = [
        replace(each, number=numbers[each.number], needs=(tables[each.oid],) if each.oid in tables else ())
        for each in rows
    ]
    earlier = [entry for entry in whole.entries if entry.section < AFTER]
    entries = [*earlier, *added, *(entry for entry in whole.entries if entry.section >= AFTER)]
    write(whole.head + whole.written(len(entries)))
    for entry in entries:
        write(whole.entry(entry))
    for block in chain(whole.blocks(), further.rows(numbers)):
        write(block)
