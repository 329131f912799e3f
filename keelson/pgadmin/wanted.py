"""What pgAdmin's store should hold: its administrator and its list, read from the stack's registry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from keelson.errors import KeelsonError
from keelson.local import registry
from keelson.local.registry import Registry, ServerRecord

NAME = "pgadmin"
LOGIN = "admin"
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

    @property
    def mark(self) -> str:
        """How the line is recognised, whatever its name and port are."""
        return f"{MARK}{self.server}/{self.database}/{self.role}"


@dataclass(frozen=True)
class Wanted:
    """The administrator's login, and the list."""

    email: str
    password: str = field(repr=False)
    root_certificate: str = field(repr=False)
    entries: tuple[Entry, ...] = ()


def read(key: str) -> Wanted:
    """Return what the registry says now.

    Raises:
        KeelsonError: the registry cannot be read, or has no pgAdmin.
    """
    of_stack = Registry(key)
    record = of_stack.daemon(NAME)
    if record is None:
        msg = f"the registry of {key} has no pgAdmin; run `keelson up`"
        raise KeelsonError(msg)
    servers = of_stack.servers()
    return Wanted(
        email=record.settings["email"],
        password=of_stack.password(NAME, LOGIN),
        root_certificate=_text(_authority(key)),
        entries=tuple(_entry(of_stack, servers, values) for values in record.settings["entries"]),
    )


def fingerprint(key: str) -> tuple[tuple[int, int], ...]:
    """Return what differs as soon as one of the files that `read` reads was replaced."""
    folder = registry.directory(key)
    return tuple(map(_state, (folder / "stack.json", folder / "secrets.json", _authority(key))))


def _entry(of_stack: Registry, servers: dict[str, ServerRecord], values: dict[str, str]) -> Entry:
    entry = Entry(**values)  # type: ignore[arg-type]  # the texts of the settings
    if entry.server not in servers or not of_stack.has_password(entry.server, entry.role):
        return entry
    return replace(entry, port=servers[entry.server].port, password=of_stack.password(entry.server, entry.role))


def _authority(key: str) -> Path:
    return registry.directory(key) / "tls" / "ca.crt"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def _state(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (state.st_mtime_ns, state.st_ino)
