"""A directory of migrations as one of the formats reads it, and what the formats have in common."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from keelson.errors import MigrationError
from keelson.migrations.files import LARGEST_VERSION, MigrationFile, list_names, relative
from keelson.migrations.parts import Part
from keelson.migrations.statements import analyse, statements_of

# What lies beside migrations and is none, whatever tool reads them.
_BESIDE = re.compile(
    r"[^0-9].*\.go|.*\.(?:toml|sum|ini|bazel|bzl|mako|pyc)|LICENSE|Makefile|OWNERS|CODEOWNERS|__pycache__|__init__\.py"
)
_NEEDS_NONE = re.compile(
    rb"\b(?:concurrently|vacuum|alter\s+system|create\s+database|drop\s+database|tablespace|subscription|reindex|cluster)\b",
    re.IGNORECASE,
)
_COMMITS = re.compile(rb"^\s*(?:commit|end)\b[^;]*;", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory whose names were listed.

    Attributes:
        path: The directory.
        root: What messages name paths relative to.
        names: What lies in it, but for hidden files and notes.
        placeholders: What stands for `${name}` in Flyway's files.
        program: The command line of the program that writes SQL, where the format needs one.
    """

    path: Path
    root: Path | None
    names: tuple[str, ...]
    placeholders: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = ()

    @classmethod
    def list(cls, path: Path, root: Path | None, **options: Any) -> Directory:  # noqa: ANN401 - the attributes above
        """Return the directory at `path`; raises MigrationError when it cannot be read."""
        return cls(path, root, tuple(list_names(path, relative(path, root))), **options)

    @property
    def source(self) -> str:
        """The directory's path, for messages."""
        return relative(self.path, self.root)

    @property
    def migrations(self) -> Iterable[str]:
        """The names that are not of other things that lie beside migrations."""
        return (name for name in self.names if not _BESIDE.fullmatch(name))

    def source_of(self, name: str) -> str:
        """Return a file's path, for messages."""
        return relative(self.path / name, self.root)

    def part(self, name: str, **options: Any) -> Part:  # noqa: ANN401 - attributes of a Part
        """Return a file of this directory; one without a statement is no fault, as it is none to other tools."""
        return Part(self.path / name, self.source_of(name), is_foreign=True, **options)

    def refuse(self, name: str, why: str) -> NoReturn:
        """Raise MigrationError about one of the names."""
        msg = f"{self.source_of(name)} {why}"
        raise MigrationError(msg)


def words(text: str | None) -> str:
    """Return what a part of a name says in words."""
    return " ".join((text or "").replace("_", " ").split())


def without_transaction_where_alone(part: Part) -> Part:
    """Return a part that has no transaction where none of its statements can run in one, or where it commits before one that cannot.

    Raises:
        MigrationError: the file cannot be read.
    """
    buffer, start, end = part.open()
    if not _NEEDS_NONE.search(buffer, start, end):
        return part
    try:
        seen = [analyse(statement, part.source).outside for statement in statements_of(part)]
    except MigrationError:  # which is told when the file is read
        return part
    is_free = bool(seen) and (all(seen) or (any(seen) and bool(_COMMITS.search(buffer, start, end))))
    return replace(part, transaction=False) if is_free else part


def refuse_twins(directory: Directory, files: Iterable[MigrationFile], key: Callable[[MigrationFile], object]) -> None:
    """Raise MigrationError where two files that follow one another have one version."""
    for earlier, later in itertools.pairwise(files):
        if key(earlier) == key(later):
            directory.refuse(earlier.name, f"and {later.name} have the same version; give one of them another")


def with_rising_versions(files: Sequence[MigrationFile]) -> tuple[MigrationFile, ...]:
    """Return the files with their numbers as versions where those rise from file to file; else without."""
    versions = [file.version for file in files if not file.repeatable]
    known = [version for version in versions if version is not None and version <= LARGEST_VERSION]
    if len(known) == len(versions) and all(one < two for one, two in itertools.pairwise(known)):
        return tuple(files)
    return tuple(replace(file, version=None) for file in files)
