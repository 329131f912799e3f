"""What a target knows and can do on the machine that asks: the small interface behind every command and connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from keelson import inside
from keelson.errors import SettingsError

RENEWAL = 1 / 3  # of a certificate's life: with less than this left, it is made anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server answers now.

    Attributes:
        host: a name or an address.
        port: on it.
        root_certificate: what the server is verified against; without it connections are not encrypted, if not `encrypted`.
        encrypted: that they are encrypted, and whoever answers is believed.
        fleeting: that it ends with this process.
    """

    host: str
    port: int
    root_certificate: Path | None = None
    encrypted: bool = False
    fleeting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a running stack, as `status` shows it."""

    name: str
    running: bool
    answering: bool
    kind: str = "server"  # server, redis, pgadmin, agent
    starting: bool = False  # it was started a moment ago, and that it does not answer yet is no fault
    port: int | None = None
    detail: str = ""
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How long a server's certificate is good."""

    server: str
    begins: datetime
    expires: datetime

    def due_for_renewal(self, now: datetime) -> bool:
        """Say whether less of its life is left than a certificate should have."""
        return self.expires - now < (self.expires - self.begins) * RENEWAL


class Target(Protocol):
    """What a target knows about the parts of a stack, and can do with them; `stack` is a stack's key.

    A `server` is a PostgreSQL server or a Redis, by its name in the settings.
    """

    def locate(self, stack: str, server: str) -> Address:
        """Return where `server` answers; raises UnreachableError."""

    def password(self, stack: str, server: str, role: str) -> str:
        """Return the password of `role`; raises UnreachableError when there is none."""

    def ensure_password(self, stack: str, server: str, role: str, chosen: str | None) -> str:
        """Keep `chosen`, else the password that is there, else a new one, and return it."""

    def client(self, program: str) -> list[str]:
        """Return the command that runs a PostgreSQL client program of the servers' version (psql, pg_dump)."""

    def parts(self, stack: str) -> tuple[Part, ...]:
        """Return the stack's parts as they are now."""

    def start(self, stack: str, parts: Sequence[str] = (), *, new_port: bool = False) -> tuple[str, ...]:
        """Start the named parts (all where none is named) and wait until they answer; return what the user should know."""

    def stop(self, stack: str, parts: Sequence[str] = ()) -> None:
        """Stop the named parts, all where none is named."""

    def certificates(self, stack: str) -> tuple[Certificate, ...]:
        """Return the certificates of the stack's servers, as far as this machine can read them; asks no server."""

    def show_log(self, stack: str, part: str, lines: int, *, follow: bool) -> None:
        """Print the last lines of what a part logged, and what comes; raises SettingsError when there is no such part."""

    def locate_inside(self, stack: str, server: str) -> Address:
        """Return where containers of the product reach `server`; raises SettingsError where nothing runs beside it."""


def target(name: str) -> Target:
    """Return the target `name`; raises SettingsError when there is no such target.

    A target is imported when it is used: what one needs is not loaded for the others. A name such as `docker@far` says which
    Docker daemon is meant. Inside a stack, where `keelson.inside.here()`, every target is what is seen from there.
    """
    if inside.here():
        from keelson.inside.target import InsideTarget  # noqa: PLC0415

        return InsideTarget()
    if name.partition("@")[0] == "docker":
        from keelson.docker.target import DockerTarget  # noqa: PLC0415

        return DockerTarget(name)
    if name == "local":
        from keelson.local.target import LocalTarget  # noqa: PLC0415

        return LocalTarget()
    msg = f"the target {name!r} is not built yet; set keelson:target to local"
    raise SettingsError(msg)
