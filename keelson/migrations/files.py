"""Migration files: their names, order and hashes. Nothing here opens a connection."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from keelson.errors import MigrationError
from keelson.migrations import hashes
from keelson.migrations.hashes import Kept
from keelson.migrations.parts import Facts, Part

UNDO_SUFFIX = ".down.sql"
LARGEST_VERSION = 2**63 - 1  # a bigint in the ledger

_NAME = re.compile(r"(?P<number>[0-9]{1,19})(?:_(?P<words>[A-Za-z0-9][A-Za-z0-9_-]*))?\.sql")
_NOT_MIGRATIONS = (".md", ".txt")


class HashedFile(Protocol):
    """A file of a plan."""

    @property
    def name(self) -> str:
        """What identifies it."""

    @property
    def sha256(self) -> str:
        """The hash of its text."""


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One migration as it was when its directory was read.

    Attributes:
        name: What identifies the migration in the ledger, in most formats the file's name.
        version: The number that the name starts with, if it has one.
        description: What it does, from the name or from the first comment line.
        sha256: Hash of its meaning, see `keelson.migrations.parts.Facts`.
        text_sha256: Hash of its text.
        transaction: Whether it runs in one transaction.
        repeatable: Whether it runs again, after all others, when its meaning changes.
        up: Its SQL.
        undo: The SQL that takes it back.
    """

    name: str
    version: int | None
    description: str
    sha256: str
    text_sha256: str
    up: Part = field(compare=False)
    undo: Part | None = field(default=None, compare=False)
    transaction: bool = True
    repeatable: bool = False

    @classmethod
    def of(  # noqa: PLR0913 - what the name and the place of a file say
        cls,
        name: str,
        version: int | None,
        words: str,
        up: Part,
        undo: Part | None = None,
        *,
        facts_of: Callable[[Part], Facts] = Part.facts,
        repeatable: bool = False,
    ) -> MigrationFile:
        """Return the migration whose SQL is `up`; raises MigrationError as reading that does."""
        facts = facts_of(up)
        description = facts.description or words
        return cls(name, version, description, facts.sha256, facts.text_sha256, up, undo, facts.transaction, repeatable)

    @property
    def source(self) -> str:
        """The path relative to the project, for messages."""
        return self.up.source

    @property
    def hashes(self) -> tuple[str, str]:
        """The hashes by which a ledger may know it: ledgers of before knew the text's."""
        return self.sha256, self.text_sha256

    def opened(self) -> MigrationFile:
        """Return the migration with its SQL read: what is asked of it from now on is of that text; raises MigrationError."""
        return replace(self, up=self.up.opened())

    def refuse_changed(self) -> None:
        """Raise MigrationError when the file is not what it was when its directory was read."""
        if self.up.text_sha256() != self.text_sha256 and self.up.facts().sha256 != self.sha256:
            msg = f"{self.source} changed since the plan was made; run the command again to see the new plan"
            raise MigrationError(msg)


def read_directory(path: Path, root: Path | None = None) -> tuple[MigrationFile, ...]:
    """Return the migrations in `path` in the order of their versions; messages name paths relative to `root`.

    Raises:
        MigrationError: the directory is missing, a name is not allowed, a file is empty or not UTF-8, two files have
            one version, or an undo has no migration.
    """
    folder = relative(path, root)
    names = list_names(path, folder)
    undos = {name for name in names if name.endswith(UNDO_SUFFIX)}
    prefix = "" if folder == "." else f"{folder}/"
    with hashes.kept(path) as kept:
        files = [_read(path / name, f"{prefix}{name}", undos, kept) for name in names if name not in undos]
    _refuse_orphans(path, root, undos, {file.name for file in files})
    files.sort(key=lambda file: file.version or 0)
    for earlier, later in itertools.pairwise(files):
        if earlier.version == later.version:
            msg = f"{earlier.source} and {later.name} have the same version {later.version}; give one of them another number"
            raise MigrationError(msg)
    return tuple(files)


def read_file(path: Path, root: Path | None = None) -> MigrationFile:
    """Return one migration.

    Raises:
        MigrationError: as `read_directory` does.
    """
    undo = path.with_name(_undo_of(path.name))
    return _read(path, relative(path, root), {undo.name} if undo.is_file() else set())


def _read(path: Path, source: str, undos: Container[str], kept: Kept | None = None) -> MigrationFile:
    name = path.name
    match = _NAME.fullmatch(name)
    if match is None or (not (kept and kept.knows(name)) and path.is_dir()):
        msg = f"{source} is no migration's name; name it like 007_add_users.sql, or move it elsewhere"
        raise MigrationError(msg)
    version = int(match["number"])
    if version > LARGEST_VERSION:
        msg = f"{source}: the version {version} is larger than {LARGEST_VERSION}; give it a smaller number"
        raise MigrationError(msg)
    words = (match["words"] or "").replace("_", " ")
    beside = _undo_of(name)
    undo = Part(path.with_name(beside), source.removesuffix(name) + beside) if beside in undos else None
    return MigrationFile.of(name, version, words, Part(path, source), undo, facts_of=kept.facts if kept else Part.facts)


def refuse_changed(files: Iterable[HashedFile], planned: Mapping[str, str]) -> None:
    """Check that the files are those of a plan, {name: sha256}.

    Raises:
        MigrationError: one came, went or changed since the plan was made.
    """
    found = {file.name: file.sha256 for file in files}
    for name in sorted(found.keys() | planned.keys()):
        if found.get(name) != planned.get(name):
            what = "is new" if name not in planned else "is gone" if name not in found else "changed"
            msg = f"{name} {what} since the plan was made; run the command again to see the new plan"
            raise MigrationError(msg)


def relative(path: Path, root: Path | None) -> str:
    """Return the path as messages show it: relative to `root` where it lies below it."""
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else str(path)


def list_names(path: Path, source: str) -> list[str]:
    """Return the names of the files in a directory, but for hidden ones and notes; raises MigrationError."""
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208 - a Path for each of ten thousand takes as long as all else
    except FileNotFoundError:
        msg = f"the directory {source} is missing; make it, or take the database out of the settings"
        raise MigrationError(msg) from None
    except OSError as fault:
        msg = f"the directory {source} cannot be read: {fault.strerror}; correct it"
        raise MigrationError(msg) from None
    return [name for name in names if not name.startswith(".") and not name.endswith(_NOT_MIGRATIONS)]


def _refuse_orphans(path: Path, root: Path | None, undos: set[str], files: set[str]) -> None:
    for name in sorted(undos):
        migration = name.removesuffix(UNDO_SUFFIX) + ".sql"
        if migration not in files:
            msg = f"{relative(path / name, root)} undoes {migration}, which is missing; restore that file or delete this one"
            raise MigrationError(msg)


def _undo_of(name: str) -> str:
    return name.removesuffix(".sql") + UNDO_SUFFIX
