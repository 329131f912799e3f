"""A server that goes forward from a backup to a moment, and serves nobody meanwhile: on a socket, by programs of the root or of a container."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from keelson import inside, paths
from keelson.backups.physical.archiving import ARCHIVE
from keelson.errors import BackupError, ServerError, UnreachableError
from keelson.local import server
from keelson.local.data_directory import ADMINISTRATOR, UNRECORDED
from keelson.local.root import find, plain_environment, telling
from keelson.local.sandbox import InContainer, InPrivateRoot, Sandbox
from keelson.postgres.connection import connect

END_SECONDS = 120
LOG, HBA = "recovery.log", "recovery_hba.conf"
SOCKETS = "/sockets"  # as the root's programs see them
WHILE_RECOVERING = {
    **{name: value for name, value in UNRECORDED.items() if name != "exit_on_error"},
    "listen_addresses": "",
    "port": "5432",
    "ssl": "off",
    "hot_standby": "off",  # nobody is to look before it is done
    "archive_mode": "on",  # so that the new timeline is noted for the archive,
    "archive_command": "",  # to which nothing goes from here
    "max_worker_processes": "0",
    "autovacuum": "off",
    "cluster_name": "",
    "logging_collector": "off",
    "log_destination": "stderr",
}
ASKED = re.compile(r"^\s*(restore_command|recovery_target\w*|archive_mode)\s*=", re.MULTILINE)


@dataclass(frozen=True)
class Forward:
    """A server that has reached its goal, and takes writes; `connect` leads to any of its databases."""

    admin: psycopg.Connection
    connect: Callable[[str], psycopg.Connection]

    @property
    def last(self) -> datetime | None:
        """When its last transaction was committed; None where none came after the backup."""
        row = self.admin.execute("SELECT pg_last_xact_replay_timestamp()").fetchone()
        return row[0].astimezone(UTC) if row and row[0] else None


def recover(directory: Path, repository: Path, name: str, secret: str = "", **parameters: str) -> datetime | None:
    """Let what was restored to `directory` go forward, and stop it cleanly; return its last transaction's time.

    Args:
        directory: with `pgdata`; beside it two files come to lie.
        repository: from which the log is taken.
        name: the server's, for messages.
        secret: what the administrator's password shall be; empty to leave it.
        parameters: further ones of the server's.

    Raises:
        BackupError: the archive ends before the goal.
        ServerError: it does not stop.
    """
    with forward(directory, repository, name, **parameters) as reached:
        last = reached.last
        if secret:
            made = reached.admin.pgconn.encrypt_password(secret.encode(), ADMINISTRATOR.encode(), b"scram-sha-256")
            reached.admin.execute(f"ALTER ROLE {ADMINISTRATOR} PASSWORD '{made.decode()}'".encode())
    _forget_recovery(directory / "pgdata" / "postgresql.auto.conf")
    return last


@contextmanager
def forward(directory: Path, repository: Path, name: str, **parameters: str) -> Iterator[Forward]:
    """Run the server for the block, from when it has gone forward and begun its own timeline; raises as `recover` does."""
    with tempfile.TemporaryDirectory(prefix="keelson-", dir="/tmp") as made:
        sockets = Path(made)
        sandbox, seen = _around(directory, repository, sockets)
        paths.write_private(directory / HBA, f"local all {ADMINISTRATOR} trust\n")
        with _postmaster(sandbox, directory, {**parameters, "unix_socket_directories": seen}) as process:
            reach = {"host": str(sockets), "port": "5432", "dbname": "postgres", "user": ADMINISTRATOR}
            with _connected(process, reach, directory, name) as admin:
                yield Forward(
                    admin, lambda database: connect({**reach, "dbname": database}, application_name="keelson drill")
                )
        if process.returncode:
            msg = f"the restored server did not stop cleanly (status {process.returncode}); look at {directory / LOG} and try again"
            raise ServerError(msg)


def _around(directory: Path, repository: Path, sockets: Path) -> tuple[Sandbox, str]:
    """Return what runs programs around the directory, and how they see the sockets."""
    if inside.here():
        return InContainer(directory), str(sockets)
    binds, reads = {sockets: SOCKETS}, {repository: str(ARCHIVE)}
    return InPrivateRoot(find(), directory, binds, reads), SOCKETS


@contextmanager
def _postmaster(sandbox: Sandbox, directory: Path, further: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    parameters = WHILE_RECOVERING | {"hba_file": f"{sandbox.data}/{HBA}"} | further
    words = [word for name, value in parameters.items() for word in ("-c", f"{name}={value}")]
    command = sandbox.command("postgres", "-D", f"{sandbox.data}/pgdata", *words)
    with (directory / LOG).open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_environment())
    try:
        yield process
    finally:
        _end(sandbox, process)


def _end(sandbox: Sandbox, process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        for number in sandbox.postmasters(process.pid):
            os.kill(number, signal.SIGINT)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _connected(
    process: subprocess.Popen[bytes], reach: dict[str, str], directory: Path, name: str
) -> Iterator[psycopg.Connection]:
    """Wait for as long as the server goes forward; raises BackupError where it ends before it is done."""
    while True:
        try:
            with connect(reach, application_name="keelson restore", deadline=0.2) as admin:
                yield admin
                return
        except UnreachableError:
            if process.poll() is not None:
                raise _stopped(name, (directory / LOG).read_text(encoding="utf-8", errors="replace")) from None


def _stopped(name: str, log: str) -> BackupError:
    if "recovery ended before configured recovery target" in log:
        return BackupError(
            f"the archive of {name} ends, or has a gap, before that time; restore an earlier one, or `--at latest` for all that can be had"
        )
    said = server.PREFIX.sub("", telling(log.splitlines())) or "it said nothing"
    return BackupError(f"the server made of the archive of {name} does not start: {said}; restore another time")


def _forget_recovery(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    paths.write_private(file, "".join(line for line in text.splitlines(keepends=True) if not ASKED.match(line)))
