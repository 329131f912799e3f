"""A server's archive on this machine: its files beside the data, and its programs in the private root."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from keelson import paths
from keelson.backups.physical import archiving as kept
from keelson.backups.physical.archiving import ARCHIVE, FOLDER, IN_SANDBOX, Archiving, Layout
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Workplace
from keelson.errors import BackupError, KeelsonError, ServerError
from keelson.local import root as private_root
from keelson.local.registry import Registry
from keelson.local.root import DATA

if TYPE_CHECKING:
    from keelson.local.spec import ServerSpec

ADMINISTRATOR = "postgres"
PORT = 5432  # of a server that is only restored
_IDENTIFIER = struct.Struct("=Q")  # the first field of pg_control


@dataclass(frozen=True)
class LocalArchive:
    """The archive of one server; see `keelson.backups.physical.engine.Workplace`."""

    key: str
    server: str
    directory: Path
    repository: Path
    variables: Mapping[str, str]
    layout: Layout = IN_SANDBOX
    reading: Layout = IN_SANDBOX

    def run(self, argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[bytes]:
        """Run a program of the private root; raises BackupError where the repository is not there."""
        if not self.repository.is_dir():
            msg = f"the archive of {self.server} is missing ({self.repository}); mount its disk, or run `keelson up` to begin a new one"
            raise BackupError(msg)
        binds = {self.repository: str(ARCHIVE)}
        return private_root.find().finish(
            argv, data=self.directory, binds=binds, environment=self.variables, seconds=seconds
        )

    read = run  # the same programs, beside the same repository


def find(key: str, server: str, cluster: str = "") -> tuple[LocalArchive, Archiving]:
    """Return the archive of a server as it was last set up; raises ServerError where it has none.

    Args:
        key: the stack's key.
        server: its name.
        cluster: which of the database clusters that the server ever was; by default what it is now, or was last where its data are lost.
    """
    record = Registry(key).server(server)
    archiving = kept.archiving_of(record.archiving) if record else None
    if record is None or archiving is None:
        msg = (
            f"server {server} of stack {key} keeps no archive to restore from; set `point_in_time: true` for it in the stack file "
            "and run `keelson up`"
        )
        raise ServerError(msg)
    if cluster and cluster not in clusters(key, server):
        msg = f"the archive of {server} holds no cluster {cluster!r}; it holds {', '.join(clusters(key, server)) or 'none'}"
        raise BackupError(msg)
    every, directory = archiving.repositories(key, server), Path(record.data_directory)
    repository = every / (cluster or _present(directory / "pgdata", every))
    return LocalArchive(key, server, directory, repository, _variables(key, server, record.port)), archiving


def clusters(key: str, server: str) -> list[str]:
    """Return the database clusters of which a server has an archive, the newest last."""
    record = Registry(key).server(server)
    archiving = kept.archiving_of(record.archiving) if record else None
    if archiving is None:
        return []
    found = [each for each in archiving.repositories(key, server).glob("*") if each.name.isdigit()]
    return [each.name for each in sorted(found, key=lambda each: each.stat().st_mtime)]


def _present(pgdata: Path, every: Path) -> str:
    try:
        return identifier(pgdata)
    except ServerError:
        found = [each for each in every.glob("*") if each.name.isdigit()]
        if not found:
            raise
        return max(found, key=lambda each: each.stat().st_mtime).name


def configure(spec: ServerSpec, port: int) -> None:
    """Write what archives a server; that its repository cannot be made is told by whoever needs it, and stops no server.

    Raises:
        SettingsError: the passphrase is another one than that of its backups.
    """
    if spec.archiving is None:
        return
    secret = kept.ensure_passphrase(spec.key, spec.name, spec.passphrase)
    write(spec.directory, spec.archiving, secret, port)
    with contextlib.suppress(KeelsonError):
        paths.private_directory(repository_of(spec))


def into(key: str, place: Workplace, directory: Path) -> LocalArchive:
    """Return an archive whose `restore` writes to another directory."""
    found, archiving = find(key, place.server, place.repository.name)
    write(directory, archiving, kept.passphrase(key, place.server), PORT)
    return replace(found, directory=directory)


def write(directory: Path, archiving: Archiving, secret: str, port: int) -> None:
    """Write the engine's files into a server's own directory."""
    folder = paths.private_directory(directory / FOLDER)
    for name, (text, mode) in ENGINE.files(archiving, secret, port).items():
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            paths.write_private(folder / name, text)
            (folder / name).chmod(mode)


def repository_of(spec: ServerSpec) -> Path:
    """Return where the archive of a server lies, by the data that are there now."""
    archiving = spec.archiving or Archiving()
    return archiving.repositories(spec.key, spec.name) / identifier(spec.directory / "pgdata")


def mounts(spec: ServerSpec) -> dict[Path, str]:
    """Return what the server's sandbox sees beside its data: its repository, if that is there when it starts."""
    return {repository_of(spec): str(ARCHIVE)} if spec.archiving else {}


def identifier(pgdata: Path) -> str:
    """Return the number that PostgreSQL gave a database cluster when it was made; raises ServerError."""
    try:
        with (pgdata / "global" / "pg_control").open("rb") as file:
            return str(_IDENTIFIER.unpack(file.read(_IDENTIFIER.size))[0])
    except (OSError, struct.error) as fault:
        msg = f"{pgdata} holds no database cluster ({fault}); put its data back, or run `keelson up`"
        raise ServerError(msg) from None


def _variables(key: str, server: str, port: int) -> dict[str, str]:
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGPASSWORD": Registry(key).password(server, ADMINISTRATOR),
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": f"{DATA}/tls/ca.crt",
        "PGAPPNAME": "keelson backup",
    }
