"""What is the same for all peers."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from keelson import paths

INSTALLED = paths.cache() / "bench"
INSTALLING = 900  # s


class MissingError(Exception):
    """A peer cannot be had here; the message says why."""


@dataclass(frozen=True)
class Migration:
    """One migration: its number, from 1, and its statements."""

    number: int
    statements: tuple[str, ...]

    @property
    def text(self) -> str:
        """The statements as a script."""
        return "".join(f"{statement};\n" for statement in self.statements)


@dataclass(frozen=True)
class Place:
    """A database as every tool needs it: `postgresql://user:password@host:port/database`, in parts."""

    host: str
    port: int
    user: str
    password: str
    database: str

    def url(self, scheme: str = "postgresql") -> str:
        """Return its URL, without encryption."""
        return f"{self.bare(scheme)}?sslmode=disable"

    def bare(self, scheme: str) -> str:
        """Return its URL, without parameters."""
        return f"{scheme}://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"


class Peer(ABC):
    """One tool."""

    name: ClassVar[str]

    @abstractmethod
    def install(self) -> None:
        """Have the program; raises MissingError where it cannot be had."""

    @abstractmethod
    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        """Write the migrations in the tool's own form into `folder`."""

    @abstractmethod
    def command(self, folder: Path, place: Place) -> list[str]:
        """Return the command that applies what is pending."""

    def prepare(self, folder: Path, place: Place) -> list[str]:
        """Return the command that brings a database to where a run has nothing to do; it is not timed."""
        return self.command(folder, place)

    def fleet(self, folder: Path, places: Sequence[Place]) -> list[list[str]]:
        """Return the commands that bring all databases up."""
        return [self.command(folder, place) for place in places]

    def has_noop(self) -> bool:
        """Say whether the tool knows what it has applied."""
        return True


def write_each(folder: Path, migrations: Sequence[Migration], name: str, text: str = "{text}") -> None:
    """Write a file for each migration; `name` and `text` are templates with {number}, {previous} and {text}."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in migrations:
        values = {"number": each.number, "previous": each.number - 1, "text": each.text}
        (folder / name.format(**values)).write_text(text.format(**values))


def fetch(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a package manager; raises MissingError with its last words where it fails."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    variables = {**os.environ, **(environment or {})}
    try:
        subprocess.run(command, env=variables, check=True, capture_output=True, text=True, timeout=INSTALLING)
    except FileNotFoundError:
        msg = f"{command[0]} is not installed"
        raise MissingError(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{command[0]} took longer than {INSTALLING} s"
        raise MissingError(msg) from None
    except subprocess.CalledProcessError as fault:
        words = (fault.stderr or fault.stdout).strip().splitlines()
        msg = f"{command[0]} failed: {words[-1] if words else fault.returncode}"
        raise MissingError(msg) from None
