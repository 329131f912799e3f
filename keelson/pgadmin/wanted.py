"""What pgAdmin's store should hold: its administrator and its list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

LOOPBACK = "127.0.0.1"
MAINTENANCE_DATABASE = "postgres"
MARK = "keelson:"  # begins what pgAdmin keeps as an entry's origin, so that those added by hand are told apart


@dataclass(frozen=True)
class Entry:
    """One line of the list; without a database it is the whole server's. `port` is 0 while it is not known."""

    group: str
    name: str
    server: str
    role: str
    database: str = ""
    port: int = 0
    password: str = field(default="", repr=False)
    host: str = LOOPBACK
    encryption: str = "verify-full"  # libpq's sslmode

    @property
    def mark(self) -> str:
        """How the line is recognised, whatever its name and port are, and whichever of a pair of logins is in use."""
        first = f"{self.role.removesuffix('_b')}_a" if self.role.endswith("_b") else self.role
        return f"{MARK}{self.server}/{self.database}/{first}"


@dataclass(frozen=True)
class Wanted:
    """The administrator's login, and the list."""

    email: str
    password: str = field(repr=False)
    root_certificate: str = field(repr=False)
    entries: tuple[Entry, ...] = ()


class Source(Protocol):
    """Where login and list stand."""

    def read(self) -> Wanted:
        """Return what is wanted now; raises KeelsonError when that cannot be read."""

    def fingerprint(self) -> object:
        """Return what differs as soon as one of the files that `read` reads was replaced."""

    def sign_on(self) -> Mapping[str, Any] | None:
        """Return how one logs in by OpenID Connect, as `keelson.pgadmin.sign_on.providers` takes it; None where nobody does."""


def state(path: Path) -> tuple[int, int]:
    """Return what differs as soon as a file was replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_ctime_ns, found.st_ino)  # a time that no program can choose


def text(path: Path) -> str:
    """Return a file's text, nothing where it is missing."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
