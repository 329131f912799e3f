"""Which TCP port a server takes, and who holds one that is taken.

A port chosen here is reserved for a minute in a file of the temporary directory, under a lock, so that two stacks that
choose at the same moment do not choose the same. Whoever chooses must still be ready to lose the port to a stranger.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from keelson import paths
from keelson.errors import PlatformError, PortInUseError
from keelson.local import processes, registry
from keelson.local.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LOOPBACK = ("127.0.0.1", "::1")
HIGHEST = 65535
RESERVED_SECONDS = 60  # from the choice until the server must have bound
SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL's protocol, section SSLRequest
LISTEN = "0A"  # state in /proc/net/tcp


@dataclass(frozen=True)
class Choice:
    """The port to use, and what the user should know about it."""

    port: int
    notes: tuple[str, ...] = ()


class HasPort(Protocol):
    """What the registry keeps of a part."""

    @property
    def port(self) -> int:
        """The port that it had."""


class Part(Protocol):
    """What wants a port: a server's or a daemon's specification."""

    @property
    def key(self) -> str:
        """The stack's key."""

    @property
    def name(self) -> str:
        """The part's name in the stack."""

    @property
    def label(self) -> str:
        """Both, as in `keelson-dev/main`."""

    @property
    def port(self) -> int | None:
        """The one port that the settings allow, if any."""

    @property
    def preferred_port(self) -> int:
        """Where to look first."""

    @property
    def avoid_ports(self) -> tuple[int, ...]:
        """Ports that are the stack's own for something else."""


@dataclass(frozen=True)
class Holder:
    """Who listens on a port; `pid` and `process` only where this user may see them."""

    port: int
    pid: int = 0
    process: str = ""
    postgres: bool = False
    version: str = ""
    cluster: str = ""

    def __str__(self) -> str:
        """Return a phrase such as: PostgreSQL 17, main of stack keelson-dev (postgres, pid 4711)."""
        who = f"{self.process or 'process'}, pid {self.pid}" if self.pid else ""
        if not self.postgres:
            return who or "a process of another user"
        kind = " ".join(filter(None, ("PostgreSQL", self.version)))
        key, slash, server = self.cluster.partition("/")
        place = f", {server} of stack {key}" if slash else f", cluster {self.cluster}" if self.cluster else ""
        return f"{kind}{place}" + (f" ({who})" if who else "")


def choose(preferred: int, avoid: Collection[int] = (), fixed: int | None = None, *, mine: str = "") -> Choice:
    """Return a port on which nothing listens, and reserve it for a minute.

    Args:
        preferred: where to look first; then the ports above it.
        avoid: ports not to take.
        fixed: the one port that the settings allow.
        mine: the chooser, for example `keelson-dev/main`; ports recorded or reserved for it are free to it.

    Raises:
        PortInUseError: the fixed port is in use, or no port is free.
    """
    with exclusive(_directory() / "ports.lock"):
        claims = {port: owner for port, owner in {**_recorded(), **_reservations()}.items() if owner != mine}
        if fixed is not None:
            if not is_free(fixed):
                raise in_use(fixed)
            choice = Choice(fixed)
        else:
            choice = _next_free(preferred, avoid, claims, mine)
        _reserve(choice.port, mine)
        return choice


def choose_again(part: Part, old: HasPort | None, *, new_port: bool) -> Choice:
    """Return the port for a part that is down: the one that it had, if it may keep that.

    Raises:
        PortInUseError: the port that the settings demand is taken, or the one that it had and `new_port` is not set.
    """
    if part.port is not None:
        if not _stranger(part, part.port):
            return Choice(part.port)
        raise in_use(part.port)
    if old is None:
        return choose(part.preferred_port, part.avoid_ports, mine=part.label)
    taken_by = _stranger(part, old.port)
    if not taken_by:
        return Choice(old.port)
    if new_port:
        return choose(part.preferred_port, {*part.avoid_ports, old.port}, mine=part.label)
    msg = (
        f"port {old.port} of {part.name} was taken while it was down, by {taken_by}; "
        "stop that, or run `keelson start --new-port`"
    )
    raise PortInUseError(msg)


def in_use(port: int) -> PortInUseError:
    """Return the error for a fixed port that is taken."""
    return PortInUseError(
        f"port {port} is in use by {holder(port) or 'a process that has just ended'}; "
        "stop that, or set another port in the stack's settings"
    )


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port on all loopback addresses that this machine has."""
    return all(_bindable(address, port) for address in LOOPBACK)


def holder(port: int) -> Holder | None:
    """Return who listens on a port of the loopback interface; None if nobody does."""
    inodes = {inode for listening, inode in _listening() if listening == port}
    if not inodes and is_free(port):
        return None
    pid = _owner(inodes)
    process = processes.look(pid) if pid else None
    name = Path(process.command.split()[0]).name if process and process.command else ""
    if not _speaks_postgres(port):
        return Holder(port, pid, name)
    return Holder(
        port, pid, name, postgres=True, version=_version(pid), cluster=_cluster(pid) or _recorded().get(port, "")
    )


def _stranger(part: Part, port: int) -> str:
    """Return who holds a port, in words; nothing if it is free or this part itself still ends or just starts."""
    if is_free(port):
        return ""
    found = holder(port)
    ours = {process.pid for process in processes.of_stack(part.key)}
    if found is None or (found.pid in ours and found.cluster in ("", part.label)):
        return ""
    return str(found)


def _next_free(preferred: int, avoid: Collection[int], claims: dict[int, str], mine: str) -> Choice:
    notes: list[str] = []
    for port in range(preferred, HIGHEST + 1):
        if port in avoid:
            continue
        if not is_free(port):
            notes.append(f"port {port} is in use by {holder(port) or 'a process that has just ended'}")
        elif port in claims:
            if claims[port].partition("/")[0] != mine.partition("/")[0]:  # a stack's own servers are no news
                notes.append(f"port {port} is kept for {_phrase(claims[port])}")
        else:
            return Choice(port, tuple(f"{note}; taking {port}" for note in notes[:1]))
    msg = f"no port from {preferred} on is free; set a lower port in the stack's settings"
    raise PortInUseError(msg)


def _phrase(owner: str) -> str:
    key, slash, server = owner.partition("/")
    return f"{server} of stack {key}" if slash else "something that is starting"


def _bindable(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError as fault:
        return fault.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True


def _directory() -> Path:
    return paths.private_directory(Path(tempfile.gettempdir()) / f"keelson-{os.getuid()}")


def _recorded() -> dict[int, str]:
    """Return the ports that this user's stacks have, running or not, with their parts; a damaged registry tells none."""
    found: dict[int, str] = {}
    for each in registry.every():
        with contextlib.suppress(PlatformError):  # commands on that stack say so
            found |= {port: f"{each.key}/{name}" for name, port in each.ports().items()}
    return found


def _reservations() -> dict[int, str]:
    try:
        kept = json.loads((_directory() / "ports.json").read_text(encoding="utf-8"))
        return {int(port): str(owner) for port, (owner, until) in kept.items() if until > time.time()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _reserve(port: int, owner: str) -> None:
    until = time.time() + RESERVED_SECONDS
    kept = {str(number): (name, until) for number, name in {**_reservations(), port: owner}.items()}
    paths.write_private(_directory() / "ports.json", json.dumps(kept))


def _listening() -> Iterator[tuple[int, str]]:
    """Yield the port and the inode of each listening socket that could answer on the loopback interface."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN:
                    yield int(fields[1].rpartition(":")[2], 16), fields[9]


def _owner(inodes: Collection[str]) -> int:
    """Return the process that holds one of the sockets: the oldest, a server rather than its children; 0 if unseen."""
    links = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        if not links.isdisjoint(_descriptors(pid)):
            return pid
    return 0


def _descriptors(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(entry.readlink())


def _speaks_postgres(port: int) -> bool:
    """Ask for TLS as PostgreSQL's clients do: its servers answer with one letter, S or N."""
    for address in LOOPBACK:
        with contextlib.suppress(ConnectionRefusedError):
            return _answers_to_ssl_request(address, port)
    return False


def _answers_to_ssl_request(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            connection.sendall(SSL_REQUEST)
            return connection.recv(2) in (b"S", b"N")
    except ConnectionRefusedError:
        raise
    except OSError:
        return False


def _version(pid: int) -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"/postgresql/(\d+)/|pgsql-?(\d+)/", str(Path(f"/proc/{pid}/exe").readlink()))
        return next(filter(None, found.groups()), "") if found else ""
    return ""


def _cluster(pid: int) -> str:
    """Return a server's cluster_name, which PostgreSQL shows in the titles of its processes."""
    for process in processes.running():
        if process.parent == pid and (found := re.match(r"postgres: (\S+): ", process.command)):
            return found[1]
    return ""
