"""What a seed says of itself: for which environments it is, and that what looks like a secret is none.

| directive | means |
|---|---|
| `-- keelson: environment dev, demo` | it is refused everywhere else |
| `-- keelson: allow secret: REASON` | before the first statement for the whole file, else for its line and the next |

Rows of CSV have no comments, so theirs stand in a note beside the file, of the same name and `.txt`, for the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from keelson.errors import MigrationError
from keelson.migrations.parts import Part
from keelson.migrations.script import Kind, count_lines, stretches
from keelson.migrations.secrets import Suspicion, suspicions

ENVIRONMENTS = ("dev", "test", "demo", "staging", "prod")

_NOTE = ".txt"
_ENVIRONMENT = re.compile(r"--[ \t]*keelson:[ \t]*environment\b[ \t:]*(?P<names>.*?)\s*", re.IGNORECASE)
_ALLOW = re.compile(r"--[ \t]*keelson:[ \t]*allow[ \t]+secrets?\b[ \t]*(?::[ \t]*(?P<reason>.*?))?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Comment:
    """A line of comment, and whether a statement stands before it."""

    where: str
    line: int
    text: str
    is_header: bool


@dataclass(frozen=True, slots=True)
class Directives:
    """What a seed says of itself.

    Attributes:
        environments: Those that it is for; empty for all.
        where: Where it says so.
        allowed: The lines on which what looks like a secret is none; None for all of them.
    """

    environments: tuple[str, ...]
    where: str
    allowed: frozenset[int] | None

    def refuse_elsewhere(self, environment: str) -> None:
        """Raise MigrationError where the seed is for other environments than this one."""
        if environment and self.environments and environment not in self.environments:
            names = " and ".join(self.environments)
            msg = f"{self.where}: this seed is for {names}, and this is {environment}; move it into a folder that {environment} does not load"
            raise MigrationError(msg)

    def refuse_secrets(self, part: Part) -> None:
        """Raise MigrationError where a line looks like a secret and the file does not say that it is none."""
        if self.allowed is None:
            return
        for found in suspicions(part.blocks()):
            if found.line not in self.allowed:
                raise MigrationError(_told(part, found))


def read_directives(part: Part, *, is_csv: bool) -> Directives:
    """Return what a seed says of itself.

    Raises:
        MigrationError: it names an environment that there is not, or allows a secret without a reason.
    """
    environments: list[str] = []
    where, allowed, allows_all = "", set[int](), False
    for comment in _of_note(part) if is_csv else _of_sql(part):
        if match := _ENVIRONMENT.fullmatch(comment.text):
            environments += _environments(match["names"], comment.where)
            where = comment.where
        elif match := _ALLOW.fullmatch(comment.text):
            if not match["reason"]:
                msg = f"{comment.where}: say why that is no secret: -- keelson: allow secret: REASON"
                raise MigrationError(msg)
            allows_all = allows_all or comment.is_header
            allowed |= {comment.line, comment.line + 1}
    return Directives(tuple(environments), where, None if allows_all else frozenset(allowed))


def _told(part: Part, found: Suspicion) -> str:
    is_csv = part.path.suffix == ".csv"
    place = f"in {part.source}{_NOTE} beside it" if is_csv else "before it"
    return (
        f"{part.source}:{found.line}: this looks like {found.kind}, and who reads the repository would have it; take it out,"
        f" or say {place} why it is none: -- keelson: allow secret: REASON"
    )


def _environments(names: str, where: str) -> list[str]:
    found = [name for name in re.split(r"[\s,]+", names.lower()) if name]
    if not found or (unknown := [name for name in found if name not in ENVIRONMENTS]):
        what = f"there is no environment {unknown[0]!r}" if found else "name the environments that this seed is for"
        msg = f"{where}: {what}; there are {', '.join(ENVIRONMENTS)}"
        raise MigrationError(msg)
    return found


def _of_note(part: Part) -> Iterator[_Comment]:
    note = Part(part.path.with_name(part.path.name + _NOTE), part.source + _NOTE)
    if note.path.is_file():
        for number, text in enumerate(note.text().splitlines(), 1):
            yield _Comment(f"{note.source}:{number}", number, text.strip(), is_header=True)


def _of_sql(part: Part) -> Iterator[_Comment]:
    buffer, start, end = part.open()
    is_header, line, counted = True, part.first_line, start
    for stretch in stretches(buffer, start, end, part.source, part.first_line):
        text = buffer[stretch.start : min(stretch.end, stretch.start + 1000)]
        if stretch.kind is Kind.COMMENT and b"keelson:" in text:
            line += count_lines(buffer, counted, stretch.start)
            counted = stretch.start
            yield _Comment(f"{part.source}:{line}", line, text.decode(errors="replace"), is_header)
        elif stretch.kind is not Kind.COMMENT and text.strip():
            is_header = False
