"""A private server that lasts as long as a block: no port, no password, no data worth keeping.

It listens on a socket in a temporary directory of this user's own, writes nothing to disk that it need not, and ends with
the thread that started it: by the end of the block, or, if that is killed, because the kernel ends the sandbox.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from keelson import inside
from keelson.errors import ServerError, UnreachableError
from keelson.local import shared_memory
from keelson.local.root import plain_environment, telling
from keelson.local.sandbox import Sandbox, in_container, in_private_root
from keelson.paths import SOCKET_PATH_LIMIT, private_directory
from keelson.postgres.connection import connect

ADMINISTRATOR = "postgres"
PORT = "5432"  # names the socket; nothing listens on it
START_SECONDS = 30
END_SECONDS = 5
PREFIX = "keelson-throwaway-"
OLDER_LOCK = "lock"  # a file that versions before held in place of the directory
PARAMETERS = {
    "listen_addresses": "",
    "port": PORT,
    "shared_preload_libraries": "timescaledb,pg_stat_statements",
    "max_worker_processes": "0",  # TimescaleDB's would hold the databases that others are copied from
    "timescaledb.telemetry_level": "off",
    "autovacuum": "off",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "max_locks_per_transaction": "256",
    "jit": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Throwaway:
    """A server that answers on a socket in `sockets`."""

    sockets: Path

    def parameters(self, database: str = "postgres", user: str = ADMINISTRATOR) -> dict[str, str]:
        """Return what a connection takes, by libpq's names; whoever reaches the socket is believed."""
        return {"host": str(self.sockets), "port": PORT, "dbname": database, "user": user}

    def connect(self, database: str = "postgres", user: str = ADMINISTRATOR) -> psycopg.Connection:
        """Open a connection in autocommit; raises UnreachableError."""
        return connect(self.parameters(database, user), application_name="keelson scratch")


@contextmanager
def running(base: Path | None = None) -> Iterator[Throwaway]:
    """Run a server of the private root's version until the block ends; in a container of Keelson's own, one of that.

    Args:
        base: the directory below which its data lie; by default, and where its name is too long for a socket, the temporary one.

    Raises:
        PlatformError: there is no private root.
        ServerError: the server does not start.
    """
    make = in_container if inside.here() else in_private_root()
    with scratch_directory(base) as directory, _process(make(directory), directory) as process:
        server = Throwaway(directory / "run")
        _await_answer(server, process, directory / "log")
        yield server


@contextmanager
def scratch_directory(wanted: Path | None) -> Iterator[Path]:
    """Make a directory for the block, held by a lock; those of killed processes go."""
    base = private_directory(wanted) if wanted else Path(tempfile.gettempdir())
    if len(os.fsencode(base / PREFIX)) + len("12345678/run/.s.PGSQL.5432.lock") > SOCKET_PATH_LIMIT:
        base = Path("/tmp")  # noqa: S108  # mkdtemp makes it this user's own
    _sweep(base)
    with ExitStack() as held:
        directory = _made(base, held)
        try:
            (directory / "run").mkdir(mode=0o700)
            yield directory
        finally:
            _discard(directory)


def _made(base: Path, held: ExitStack) -> Path:
    """Make a directory and lock it, however many sweep meanwhile."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        with contextlib.suppress(FileNotFoundError):
            held.enter_context(_locked(directory))
            if directory.exists():
                return directory


def _sweep(base: Path) -> None:
    """Remove the directories that nobody holds, those too that were killed before they held anything, or half removed."""
    for directory in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), ExitStack() as held:
            held.enter_context(_locked(directory, fcntl.LOCK_NB))
            if (directory / OLDER_LOCK).exists():
                held.enter_context(_locked(directory / OLDER_LOCK, fcntl.LOCK_NB))
            _discard(directory)


@contextmanager
def _locked(path: Path, waiting: int = 0) -> Iterator[None]:
    """Hold the lock of a file or directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | waiting)
        yield
    finally:
        os.close(descriptor)


def _discard(directory: Path) -> None:
    shared_memory.release(directory / "pgdata")
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _process(sandbox: Sandbox, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Make data and run the server, so that nothing of it outlives this process."""
    options = ["--no-sync", "--username", ADMINISTRATOR, "--auth=trust", "--encoding=UTF8", "--no-instructions"]
    locale = ["--locale=C.UTF-8", "--locale-provider=builtin"]
    sandbox.run("initdb", "-D", f"{sandbox.data}/pgdata", *options, *locale)
    parameters = PARAMETERS | {"unix_socket_directories": f"{sandbox.data}/run"}
    words = [word for name, value in parameters.items() for word in ("-c", f"{name}={value}")]
    command = sandbox.command("postgres", "-D", f"{sandbox.data}/pgdata", *words)
    with ExitStack() as stack:
        log = stack.enter_context((directory / "log").open("wb"))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_environment())
        stack.callback(_end, process, sandbox)
        yield process


def _end(process: subprocess.Popen[bytes], sandbox: Sandbox) -> None:
    """End the server at once, in the way that lets it take its shared memory along."""
    with contextlib.suppress(OSError):
        for number in sandbox.postmasters(process.pid):
            os.kill(number, signal.SIGQUIT)
    try:
        process.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_answer(server: Throwaway, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connect(server.parameters(), application_name="keelson scratch", deadline=0.1).close()
        except UnreachableError as fault:
            if process.poll() is None and time.monotonic() < deadline:
                continue
            said = telling(log.read_text(encoding="utf-8", errors="replace").splitlines()) or str(fault)
            msg = f"the scratch server does not start: {said}; name another server with --scratch"
            raise ServerError(msg) from None
        else:
            return
