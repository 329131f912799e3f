"""Migration files: their names, order and hashes. Nothing here opens a connection."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from keelson.errors import MigrationError

UNDO_SUFFIX = ".down.sql"
LARGEST_VERSION = 2**63 - 1  # a bigint in the ledger

_NAME = re.compile(r"(?P<number>[0-9]{1,19})(?:_(?P<words>[A-Za-z0-9][A-Za-z0-9_-]*))?\.sql")
_DESCRIPTION = re.compile(r"^--[ \t]*Description:[ \t]*(?P<text>\S.*?)[ \t]*$", re.IGNORECASE)
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
        name: The file's name, which identifies the migration in the ledger.
        version: The number that the name starts with.
        description: What it does, from the name or from the first comment line.
        sha256: Hash of the text without BOM and with LF line ends.
        has_undo: Whether a `.down.sql` stands beside it.
        path: Where to read it.
        source: The path relative to the project, for messages.
    """

    name: str
    version: int
    description: str
    sha256: str
    has_undo: bool
    path: Path = field(compare=False)
    source: str = field(compare=False)

    def text(self) -> str:
        """Read the file again, normalised.

        Raises:
            MigrationError: it is not what it was when its directory was read.
        """
        return read_unchanged(self.path, self.source, self.sha256)

    def undo(self) -> str | None:
        """Return the undo's text, or None where there is none."""
        if not self.has_undo:
            return None
        name = _undo_of(self.name)
        return read_text(self.path.with_name(name), self.source.removesuffix(self.name) + name)


def read_directory(path: Path, root: Path | None = None) -> tuple[MigrationFile, ...]:
    """Return the migrations in `path` in the order of their versions; messages name paths relative to `root`.

    Raises:
        MigrationError: the directory is missing, a name is not allowed, a file is empty or not UTF-8, two files have
            one version, or an undo has no migration.
    """
    names = list_names(path, relative(path, root))
    undos = {name for name in names if name.endswith(UNDO_SUFFIX)}
    files = [read_file(path / name, root) for name in names if name not in undos]
    _refuse_orphans(path, root, undos, {file.name for file in files})
    files.sort(key=lambda file: file.version)
    for earlier, later in itertools.pairwise(files):
        if earlier.version == later.version:
            msg = f"{earlier.source} and {later.name} have the same version {later.version}; give one of them another number"
            raise MigrationError(msg)
    return tuple(files)


def read_file(path: Path, root: Path | None = None) -> MigrationFile:
    """Return one migration; raises MigrationError as `read_directory` does."""
    source = relative(path, root)
    match = _NAME.fullmatch(path.name)
    if match is None or path.is_dir():
        msg = f"{source} is no migration's name; name it like 007_add_users.sql, or move it elsewhere"
        raise MigrationError(msg)
    version = int(match["number"])
    if version > LARGEST_VERSION:
        msg = f"{source}: the version {version} is larger than {LARGEST_VERSION}; give it a smaller number"
        raise MigrationError(msg)
    text = read_text(path, source)
    if not text.strip():
        msg = f"{source} is empty; write its SQL or delete it"
        raise MigrationError(msg)
    return MigrationFile(
        name=path.name,
        version=version,
        description=_description(text, match["words"]),
        sha256=text_hash(text),
        has_undo=path.with_name(_undo_of(path.name)).is_file(),
        path=path,
        source=source,
    )


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


def read_text(path: Path, source: str) -> str:
    """Return a file's text without BOM and with LF line ends.

    Raises:
        MigrationError: it cannot be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        msg = f"{source} cannot be read: {fault.strerror}; restore the file or give read access to it"
        raise MigrationError(msg) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        msg = f"{source}:{line}: not UTF-8 at byte {fault.start}; save the file as UTF-8"
        raise MigrationError(msg) from None
    return text.replace("\r\n", "\n")


def read_unchanged(path: Path, source: str, sha256: str) -> str:
    """Return the text of a file whose hash is known.

    Raises:
        MigrationError: the hash is another one now.
    """
    text = read_text(path, source)
    if text_hash(text) != sha256:
        msg = f"{source} changed since the plan was made; run the command again to see the new plan"
        raise MigrationError(msg)
    return text


def text_hash(text: str) -> str:
    """Return the SHA-256 of a normalised text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def relative(path: Path, root: Path | None) -> str:
    """Return the path as messages show it: relative to `root` where it lies below it."""
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else str(path)


def list_names(path: Path, source: str) -> list[str]:
    """Return the names of the files in a directory, but for hidden ones and notes; raises MigrationError."""
    try:
        entries = sorted(path.iterdir())
    except FileNotFoundError:
        msg = f"the directory {source} is missing; make it, or take the database out of the settings"
        raise MigrationError(msg) from None
    except OSError as fault:
        msg = f"the directory {source} cannot be read: {fault.strerror}; correct it"
        raise MigrationError(msg) from None
    return [entry.name for entry in entries if not entry.name.startswith(".") and entry.suffix not in _NOT_MIGRATIONS]


def _description(text: str, words: str | None) -> str:
    """Return what the first comment line says after `Description:`, else the words of the file's name."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    match = _DESCRIPTION.match(first)
    return match["text"] if match else (words or "").replace("_", " ")


def _refuse_orphans(path: Path, root: Path | None, undos: set[str], files: set[str]) -> None:
    for name in sorted(undos):
        migration = name.removesuffix(UNDO_SUFFIX) + ".sql"
        if migration not in files:
            msg = f"{relative(path / name, root)} undoes {migration}, which is missing; restore that file or delete this one"
            raise MigrationError(msg)


def _undo_of(name: str) -> str:
    return name.removesuffix(".sql") + UNDO_SUFFIX
