"""What every target does alike where the stack's state and backups are files of this machine: on a laptop, and inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keelson.agent import jobs
from keelson.backups import disks
from keelson.backups.overview import Overview, overview
from keelson.backups.store import Store
from keelson.local import tls, turns
from keelson.target import ClientCertificate

if TYPE_CHECKING:
    from keelson.agent.jobs import Job
    from keelson.backups.disks import Disks
    from keelson.backups.making import Source
    from keelson.rotation import Turn


class StateHere:
    """The part of a target that reads and writes these files; see `keelson.target.Target` for what each method is for."""

    def run_inside(self, stack: str, arguments: Sequence[str | Path], *, reads: bool = False) -> None:  # noqa: ARG002
        """Run nothing: the stack's files lie here."""
        return

    def turn(self, stack: str, server: str, service: str) -> Turn:
        """Return which logins of a service are in use."""
        return turns.turn(stack, server, service)

    def hand_out(self, stack: str, server: str, service: str, generation: int, passwords: Mapping[str, str]) -> Turn:
        """Keep new passwords that the server takes already, and let a generation of a service's logins be in use."""
        return turns.hand_out(stack, server, service, generation, passwords)

    def client_certificate(self, stack: str, server: str, login: str) -> ClientCertificate:
        """Return where a login's certificate and key lie; raises UnreachableError where it has none."""
        return tls.client_files(stack, server, login)

    def put_job(self, stack: str, job: Job) -> None:
        """Write a job down for the agent."""
        jobs.put(stack, job)

    def find_job(self, stack: str, name: str) -> Job | None:
        """Return one job; None if it is not written down, or so that nobody can read it."""
        return jobs.find(stack, name)

    def drop_job(self, stack: str, name: str) -> None:
        """Strike a job out."""
        jobs.drop(stack, name)

    def back_up(self, source: Source, reason: str, directory: Path | None) -> str:
        """Make a backup and return its directory."""
        from keelson.backups import making  # noqa: PLC0415 - slow, and most commands do without

        return str(making.back_up(source, Store(source.reference.stack, directory), reason).path)

    def backups(self, stack: str, services: Sequence[str], directory: Path | None) -> Overview:
        """Return what is known of the backups."""
        return overview(stack, services, directory)

    def disks(self, stack: str, backups: Path | None, data: Sequence[Path]) -> Disks:
        """Return what is known of this machine's disks."""
        return disks.look(stack, backups, data)

    def platform(self) -> str:
        """Return nothing: it is this machine."""
        return ""
