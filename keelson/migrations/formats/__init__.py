"""Directories of migrations as other tools have them, read as they are: one module for each format.

Each module has a NAME, an EXAMPLE of a name, `detect(directory)`, which says by the names whether a directory is of its
format, and `read(directory)`, which returns the migrations in the order in which they run.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from keelson.errors import MigrationError
from keelson.migrations.files import MigrationFile
from keelson.migrations.formats.directory import Directory

if TYPE_CHECKING:
    from keelson.settings.migrations import MigrationSettings
    from keelson.settings.stack import Stack

OWN_FORMAT = "keelson"
# By what names say, then by what stands in a file: plain numbered files are of several tools.
BY_NAME = ("flyway", "golang-migrate", "prisma", "diesel", "alembic", OWN_FORMAT)
BY_TEXT = ("goose", "dbmate", "tern")
FORMATS = (*BY_NAME, *BY_TEXT)
_LARGEST_PLAIN = 1_000_000  # numbers above are times, which have gaps by nature


class Format(Protocol):
    """A module of this package."""

    NAME: str
    EXAMPLE: str

    def detect(self, directory: Directory) -> bool:
        """Say whether a directory is of this format."""

    def read(self, directory: Directory) -> tuple[MigrationFile, ...]:
        """Return its migrations in order."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a database's migrations lie and how they are read.

    Attributes:
        directory: The folder, relative to the project or absolute.
        format: Its format; empty: as its names say.
        out_of_order: Whether files are applied that come before one that is applied.
        placeholders: What stands for `${name}` in Flyway's files.
        program: The command line of the program that writes SQL, for Alembic.
    """

    directory: Path
    format: str = ""
    out_of_order: bool = False
    placeholders: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = ()

    @property
    def reading(self) -> dict[str, Any]:
        """How it is read, as plain values that are not the usual ones."""
        chosen = {
            "format": self.format,
            "out_of_order": self.out_of_order,
            "placeholders": dict(self.placeholders),
            "program": list(self.program),
        }
        return {key: value for key, value in chosen.items() if value}

    def read(self, root: Path | None = None) -> tuple[MigrationFile, ...]:
        """Return the migrations in order; messages name paths relative to `root`.

        Raises:
            MigrationError: the directory cannot be read, its format cannot be told, or a file is wrong.
        """
        directory = self.listed(root)
        return _module(self.format or detect(directory)).read(directory)

    def format_in(self, root: Path | None = None) -> str:
        """Return the format's name, as it is said or found; raises MigrationError where it cannot be told."""
        return self.format or detect(self.listed(root))

    def listed(self, root: Path | None = None) -> Directory:
        """Return the directory with its names; raises MigrationError when it cannot be read."""
        path = root / self.directory if root else self.directory
        return Directory.list(path, root, placeholders=self.placeholders, program=self.program)


def location_of(stack: Stack, database: str) -> Location:
    """Return where the migrations of one of a stack's databases lie, relative to the project."""
    return location_in(stack.directory(database), stack.databases[database].migrations)


def location_in(folder: Path, settings: MigrationSettings) -> Location:
    """Return the same of a database's folder, by what its database.yaml says under `migrations`."""
    return Location(
        Path(os.path.normpath(folder / settings.directory)),
        settings.format or "",
        settings.out_of_order,
        settings.placeholders,
        settings.program,
    )


def read_directory(path: Path, root: Path | None = None, *, format: str = "") -> tuple[MigrationFile, ...]:  # noqa: A002
    """Return the migrations of a directory of any format, in order; raises MigrationError as `Location.read` does."""
    directory = Directory.list(path, root)
    return _module(format or detect(directory)).read(directory)


def detect(directory: Directory) -> str:
    """Return the name of a directory's format; Keelson's own where nothing says otherwise.

    Raises:
        MigrationError: it looks like two formats.
    """
    found = [name for name in BY_NAME if _module(name).detect(directory)]
    if len(found) > 1:
        one, two = (f"{name} ({_module(name).EXAMPLE})" for name in found[:2])
        msg = (
            f"{directory.source} holds files of {one} and of {two}; move those of one elsewhere,"
            " or say which it is by the setting 'migrations.format' or --format"
        )
        raise MigrationError(msg)
    return found[0] if found else next((name for name in BY_TEXT if _module(name).detect(directory)), OWN_FORMAT)


def gaps(files: Sequence[MigrationFile]) -> tuple[int, ...]:
    """Return the first number of each gap between plain numbers; none where the versions are times."""
    numbers = [file.version for file in files if file.version is not None]
    if not numbers or numbers[-1] >= _LARGEST_PLAIN:
        return ()
    return tuple(one + 1 for one, two in itertools.pairwise(numbers) if two != one + 1)


def _module(name: str) -> Format:
    if name not in FORMATS:
        msg = f"{name!r} is no format of migrations; there are {', '.join(sorted(FORMATS))}"
        raise MigrationError(msg)
    module = "own" if name == OWN_FORMAT else name.replace("-", "_")
    return cast(Format, import_module(f"{__name__}.{module}"))
