"""What a target knows and can do on the machine that asks: the small interface behind every command and connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from keelson import inside
from keelson.entrances import Entrance
from keelson.errors import SettingsError

if TYPE_CHECKING:
    from keelson.agent.jobs import Job
    from keelson.backups.disks import Disks
    from keelson.backups.making import Source
    from keelson.backups.overview import Overview
    from keelson.backups.physical.archives import Archives
    from keelson.rotation import Turn

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
        certified: logins that show a certificate.
    """

    host: str
    port: int
    root_certificate: Path | None = None
    encrypted: bool = False
    fleeting: bool = False
    certified: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """What a login shows beside its password or in its place: files that its owner alone may read."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a running stack, as `status` shows it."""

    name: str
    running: bool
    answering: bool
    kind: str = "server"  # server, redis, pgadmin, agent
    starting: bool = False  # it was started a moment ago, and that it does not answer yet is no fault
    degraded: bool = False  # it answers, and lacks what would take over: an instance of several
    port: int | None = None
    detail: str = ""
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How long a certificate is good: a server's, or that of the stack's `authority`."""

    server: str
    begins: datetime
    expires: datetime

    @property
    def renewal(self) -> datetime:
        """From when on less of its life is left than a certificate should have."""
        return self.expires - (self.expires - self.begins) * RENEWAL

    def due_for_renewal(self, now: datetime) -> bool:
        """Say whether less of its life is left than a certificate should have."""
        return now > self.renewal


class Target(Protocol):
    """What a target knows about the parts of a stack, and can do with them; `stack` is a stack's key.

    A `server` is a PostgreSQL server or a Redis, by its name in the settings.
    """

    def locate(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return where `server` answers; raises UnreachableError, and SettingsError where it has no such entrance."""

    def instances(self, stack: str, redis: str) -> tuple[Address, ...]:
        """Return where each instance of a Redis answers, of which only one takes writes; raises UnreachableError."""

    def keep_users(self, stack: str, redis: str, rules: Mapping[str, str]) -> None:
        """Keep what users may for instances that are made later, where a Redis has several; each keeps those that it was told itself."""

    def password(self, stack: str, server: str, role: str) -> str:
        """Return the password of `role`; raises UnreachableError when there is none."""

    def ensure_password(self, stack: str, server: str, role: str, chosen: str | None) -> str:
        """Keep `chosen`, else the password that is there, else a new one, and return it."""

    def turn(self, stack: str, server: str, service: str) -> Turn:
        """Return which logins of a service are in use."""

    def hand_out(self, stack: str, server: str, service: str, generation: int, passwords: Mapping[str, str]) -> Turn:
        """Keep new passwords that the server takes already, and let a generation of a service's logins be in use."""

    def client_certificate(self, stack: str, server: str, login: str) -> ClientCertificate:
        """Return the files that `login` shows to a server, on this machine; raises UnreachableError where it has none."""

    def client(self, program: str) -> list[str]:
        """Return the command that runs a client program of the servers' version (psql, pg_dump, redis-cli).

        Raises:
            PlatformError: this machine has none.
        """

    def parts(self, stack: str) -> tuple[Part, ...]:
        """Return the stack's parts as they are now."""

    def start(self, stack: str, parts: Sequence[str] = (), *, new_port: bool = False) -> tuple[str, ...]:
        """Start the named parts (all where none is named) and wait until they answer; return what the user should know."""

    def is_harmed(self, stack: str, parts: Sequence[str], *, new_port: bool) -> bool:
        """Say whether what makes up the stack's parts was taken away, so that an update must look at all of it first.

        With `new_port` a part that does not run, and may get another port, counts too.
        """

    def stop(self, stack: str, parts: Sequence[str] = ()) -> None:
        """Stop the named parts, all where none is named."""

    def await_end(self, stack: str) -> None:
        """Wait until all that a destroy took away has ended; raises PlatformError where it does not in time."""

    def certificates(self, stack: str) -> tuple[Certificate, ...]:
        """Return the certificates of the stack's servers and its authority, as far as this machine can read them; asks no server."""

    def show_log(self, stack: str, part: str, lines: int, *, follow: bool) -> None:
        """Print the last lines of what a part logged, and what comes; raises SettingsError when there is no such part."""

    def locate_inside(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return where containers of the product reach `server`; raises SettingsError where nothing runs beside it."""

    def authority(self, stack: str) -> str:
        """Return the certificate that the stack's servers are verified against, in PEM; raises UnreachableError."""

    def run_inside(self, stack: str, arguments: Sequence[str | Path], *, reads: bool = False) -> int | None:
        """Run a command of Keelson where the stack's files lie, with this process's terminal, and return its exit status.

        None says that they lie here, and nothing was run. A Path among the arguments is a directory of this machine, which is
        there while the command runs; `reads` says that the command reads standard input.
        """

    def put_job(self, stack: str, job: Job) -> None:
        """Write a job down for the agent."""

    def find_job(self, stack: str, name: str) -> Job | None:
        """Return one job; None if it is not written down, or so that nobody can read it."""

    def drop_job(self, stack: str, name: str) -> None:
        """Strike a job out; what it made stays."""

    def back_up(self, source: Source, reason: str, directory: Path | None) -> str:
        """Make a backup where the stack's backups lie, read it back, and say where it is; raises BackupError."""

    def backups(self, stack: str, services: Sequence[str], directory: Path | None) -> Overview:
        """Return what is known of the backups of databases and Redis servers; `directory` is the settings' own."""

    def disks(self, stack: str, backups: Path | None, data: Sequence[Path]) -> Disks:
        """Return what is known of the disks that hold the stack; `data` are directories of the settings' own."""

    def archives(self) -> Archives:
        """Return what is done with the archives of servers; raises SettingsError where there are none."""

    def platform(self) -> str:
        """Return what the parts run on, for people; nothing where that is this machine; raises PlatformError."""


def target(name: str) -> Target:
    """Return the target `name`; raises SettingsError when there is no such target.

    A target is imported when it is used: what one needs is not loaded for the others. A name such as `docker@far` says which
    Docker daemon is meant, `kubernetes:prod@far` which namespace and context. Inside a stack, where `keelson.inside.here()`, every
    target is what is seen from there.
    """
    if inside.here():
        from keelson.inside.target import InsideTarget  # noqa: PLC0415

        return InsideTarget()
    if name.partition("@")[0] == "docker":
        from keelson.docker.target import DockerTarget  # noqa: PLC0415

        return DockerTarget(name)
    if name.partition(":")[0] == "kubernetes":
        from keelson.kubernetes.target import KubernetesTarget  # noqa: PLC0415

        return KubernetesTarget(name)
    if name == "local":
        from keelson.local.target import LocalTarget  # noqa: PLC0415

        return LocalTarget()
    msg = f"the target {name!r} is not built yet; set keelson:target to local, docker or kubernetes"
    raise SettingsError(msg)


def is_same_place(old: str, new: str) -> bool:
    """Say whether two targets' names mean the same place: one namespace of one cluster, by whatever contexts it is reached.

    Raises:
        KeelsonError: that cannot be told, as one of them does not answer or is not known.
    """
    if old == new or not all(name.startswith("kubernetes:") for name in (old, new)):
        return old == new
    from keelson.kubernetes import ground  # noqa: PLC0415 - a target is imported when it is used

    return ground.is_same(old, new)
