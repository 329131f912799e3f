"""A server's archive as toolbox and agent see it: they read the repository where it is mounted, and let the server itself do the rest.

A program runs beside the server by `COPY … FROM PROGRAM`, as the server's own user and among its files: so nobody else needs a right to
its container or its data.
"""

from __future__ import annotations

import base64
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from psycopg import sql

from keelson import paths
from keelson.backups.physical import archiving as kept
from keelson.backups.physical.archiving import Archiving, Layout
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Workplace
from keelson.containers.archive import IN_CONTAINER, mounted
from keelson.endpoint import Reference, resolve
from keelson.errors import BackupError, ServerError, UnreachableError
from keelson.local.registry import Registry
from keelson.local.root import plain_environment

TARGET = "docker"  # any: from here all are the inside
PORT = 5432
SECONDS = 60.0


@dataclass(frozen=True)
class InsideArchive:
    """The archive of one server; see `keelson.backups.physical.engine.Workplace`."""

    key: str
    server: str
    repository: Path
    reading: Layout
    layout: Layout = IN_CONTAINER

    def run(self, argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[bytes]:
        """Let the server run it; raises BackupError where that does not answer."""
        told = f'said=$({shlex.join(argv)} 2>&1); status=$?; printf %s "$said" | base64 -w 0; echo; echo $status'
        try:
            with resolve(Reference(stack=self.key, target=TARGET, server=self.server)).connect(
                "keelson backup"
            ) as admin:
                admin.execute("SELECT set_config('statement_timeout', %s, false)", [f"{seconds:.0f}s"])
                admin.execute("CREATE TEMPORARY TABLE said (line text)")
                admin.execute(sql.SQL("COPY said FROM PROGRAM {}").format(sql.Literal(told)))
                said, status = (row[0] for row in admin.execute("SELECT line FROM said").fetchall())
        except (UnreachableError, psycopg.Error) as fault:
            reason = str(fault).strip().splitlines()[0]
            msg = f"server {self.server} could not work on its archive ({reason}); see `keelson logs {self.server}` and try again"
            raise BackupError(msg) from None
        return subprocess.CompletedProcess(argv, int(status), base64.b64decode(said), b"")

    def make(self) -> None:
        """Let the server make the repository's directory, which takes over its group from the one above."""
        done = self.run(
            ["sh", "-c", f"umask 027 && mkdir -p {self.layout.archive}/{self.repository.name}"], seconds=SECONDS
        )
        if done.returncode:
            said = done.stdout.decode(errors="replace").strip()
            msg = f"server {self.server} cannot write to the volume of its archive ({said}); run `keelson up -- --refresh`"
            raise BackupError(msg)

    def read(self, argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[bytes]:
        """Run it here; raises BackupError where the repository is not there."""
        if not self.repository.is_dir():
            msg = (
                f"the archive of {self.server} is missing ({self.repository.name}); run `keelson up` to begin a new one"
            )
            raise BackupError(msg)
        try:
            return subprocess.run(
                [*argv],
                capture_output=True,
                env=plain_environment(),
                timeout=seconds,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            msg = f"{argv[0]} cannot read the archive of {self.server} ({fault}); see to the image of the agent, and try again"
            raise BackupError(msg) from None


def find(key: str, server: str, cluster: str = "") -> tuple[InsideArchive, Archiving]:
    """Return the archive of a server; raises as `keelson.backups.physical.places.find` does."""
    record = Registry(key).server(server)
    archiving = kept.archiving_of(record.archiving) if record else None
    if archiving is None:
        msg = (
            f"server {server} of stack {key} keeps no archive to restore from; set `point_in_time: true` for it in the stack file "
            "and run `keelson up`"
        )
        raise ServerError(msg)
    if cluster and cluster not in clusters(key, server):
        msg = f"the archive of {server} holds no cluster {cluster!r}; it holds {', '.join(clusters(key, server)) or 'none'}"
        raise BackupError(msg)
    repository = mounted(server) / (cluster or _present(key, server))
    reading = _reading(server, repository)
    _tell(key, server, archiving, reading)
    return InsideArchive(key, server, repository, reading), archiving


def clusters(key: str, server: str) -> list[str]:  # noqa: ARG001 - as on a laptop
    """Return the database clusters of which a server has an archive, the newest last."""
    found = [each for each in mounted(server).glob("*") if each.name.isdigit()]
    return [each.name for each in sorted(found, key=lambda each: each.stat().st_mtime)]


def into(place: Workplace, directory: Path) -> InsideArchive:
    """Return an archive whose `restore` writes to a directory of this container."""
    if not isinstance(place, InsideArchive):
        raise TypeError(place)
    return replace(place, reading=replace(place.reading, data=str(directory)))


def _present(key: str, server: str) -> str:
    """Ask the server which cluster it is; where it does not answer, it is what it was last."""
    try:
        with resolve(Reference(stack=key, target=TARGET, server=server)).connect(
            "keelson archive", patience=0
        ) as admin:
            row = admin.execute("SELECT system_identifier FROM pg_catalog.pg_control_system()").fetchone()
    except (UnreachableError, psycopg.Error):
        row = None
    if row:
        return str(row[0])
    if found := clusters(key, server):
        return found[-1]
    msg = f"server {server} does not answer, and its archive holds nothing yet; run `keelson start`"
    raise ServerError(msg)


def _reading(server: str, repository: Path) -> Layout:
    """Return where programs of this container work: in memory, so that nothing of it lies about."""
    work = paths.runtime("archives", "") / server / repository.name
    return Layout(str(work), str(work), str(repository))


def _tell(key: str, server: str, archiving: Archiving, layout: Layout) -> None:
    folder = paths.private_directory(Path(layout.told))
    for name, (text, _) in ENGINE.files(archiving, kept.passphrase(key, server), PORT, layout).items():
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            paths.write_private(folder / name, text)
