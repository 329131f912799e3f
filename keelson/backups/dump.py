"""A logical dump of one database that is proven to read back before it has its name."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import conninfo as libpq
from psycopg import pq

from keelson.errors import BackupError
from keelson.paths import private_directory

LOCK_WAIT = "60s"  # for a table that somebody is changing
PARTIAL = ".partial"
BLOCK = 1 << 20  # bytes

Client = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Dump:
    """A verified dump in pg_dump's custom format."""

    path: Path
    sha256: str
    bytes: int


def dump_database(client: Client, conninfo: str | Mapping[str, str], target: Path) -> Dump:
    """Dump a database to `target`, which is replaced in one step when the new dump has been read back.

    Args:
        client: Gives the command that runs a PostgreSQL program (pg_dump, pg_restore) by its name.
        conninfo: The database; its password reaches pg_dump by the environment.
        target: The file; its directory is made, mode 0700.

    Raises:
        BackupError: the dump failed or does not read back; nothing is left of it, an earlier one stays.
    """
    private_directory(target.parent)
    options = ["--format=custom", "--compress=zstd", "--no-password", f"--lock-wait-timeout={LOCK_WAIT}"]
    partial = target.with_name(target.name + PARTIAL)
    with _exclusive(partial) as file:
        try:
            written = _write([*client("pg_dump"), *options], file, target, _environment(conninfo))
            dump = verify_dump(client, partial)
            _refuse_difference(dump, written)
            partial.replace(target)
            _sync(target.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    return Dump(target, dump.sha256, dump.bytes)


def verify_dump(client: Client, path: Path) -> Dump:
    """Read all of a dump, as a restore would, and return its hash and size.

    Raises:
        BackupError: it is missing, cut off or damaged.
    """
    try:
        with path.open("rb") as file:
            _run([*client("pg_restore"), "--file=-"], path, stdin=file)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Dump(path, digest, file.tell())
    except OSError as fault:
        msg = f"the dump {path} cannot be read: {fault.strerror}; use another one"
        raise BackupError(msg) from None


def _write(command: Sequence[str], file: IO[bytes], target: Path, environment: Mapping[str, str]) -> str:
    """Copy what pg_dump writes to `file`, down to the disk, and return its hash.

    It writes to a pipe: to a file of which it holds only a descriptor it appends a second table of contents, and a cut
    there would go unnoticed.
    """
    digest = hashlib.sha256()

    def keep(block: bytes) -> None:
        digest.update(block)
        file.write(block)

    try:
        _run(command, target, sink=keep, environment=environment)
        file.flush()
        os.fsync(file.fileno())
    except OSError as fault:
        msg = f"cannot write the dump {target}: {fault.strerror}; make room or give write access"
        raise BackupError(msg) from None
    return digest.hexdigest()


def _run(
    command: Sequence[str],
    path: Path,
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    sink: Callable[[bytes], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program to its end; hand what it writes to `sink`, or drop it."""
    env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": os.environ.get("HOME", "/"), **(environment or {})}
    stdout = subprocess.PIPE if sink else subprocess.DEVNULL
    with (
        tempfile.TemporaryFile() as errors,
        _start(command, stdin=stdin, stdout=stdout, stderr=errors, env=env) as process,
    ):
        try:
            while sink and process.stdout and (block := process.stdout.read(BLOCK)):
                sink(block)
        except BaseException:
            process.kill()
            raise
        if status := process.wait():
            errors.seek(0)
            reason = _reason(errors.read().decode(errors="replace")) or f"exit status {status}"
            msg = f"the dump {path.name.removesuffix(PARTIAL)} failed: {reason}; correct it and try again"
            raise BackupError(msg)


def _refuse_difference(dump: Dump, written: str) -> None:
    if dump.sha256 != written:
        msg = f"the dump {dump.path} does not read back as it was written; check the disk"
        raise BackupError(msg)


def _start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - Popen's own
    try:
        return subprocess.Popen(command, **options)
    except OSError as fault:
        msg = f"cannot run {command[0]}: {fault.strerror}; install PostgreSQL's client programs"
        raise BackupError(msg) from None


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or "FATAL:" in line]
    return (errors or lines[-1:] or [""])[0]


@contextmanager
def _exclusive(path: Path) -> Iterator[IO[bytes]]:
    """Open an empty file that no other dump writes to; what a killed one left is overwritten."""
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    except OSError as fault:
        msg = f"cannot write {path}: {fault.strerror}; make room or give write access"
        raise BackupError(msg) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another dump is being written to {path}; wait for its end"
            raise BackupError(msg) from None
        file.truncate()
        yield file


def _environment(conninfo: str | Mapping[str, str]) -> dict[str, str]:
    """Return libpq's variables for a connection, so that no password stands in a process list."""
    try:
        given = libpq.conninfo_to_dict(conninfo) if isinstance(conninfo, str) else dict(conninfo)
    except psycopg.Error:  # its text may repeat parts of the password
        msg = "the connection string cannot be read; write it as postgresql://user@host:port/database"
        raise BackupError(msg) from None
    variables = {
        option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar
    }
    return {variables[key]: str(value) for key, value in given.items() if key in variables and value is not None}


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
