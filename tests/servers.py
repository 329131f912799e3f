"""A throw-away PostgreSQL server with TimescaleDB for tests that need a real one."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from keelson.local import root
from keelson.postgres.connection import connect

ADMINISTRATOR = "postgres"
PARAMETERS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb,pg_stat_statements",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "4",
    "log_min_messages": "warning",
    "log_statement": "all",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass(frozen=True)
class Server:
    """A running server; its log stands in `log`."""

    port: int
    password: str
    log: Path
    root: root.PrivateRoot

    def parameters(self, database: str = "postgres", user: str = ADMINISTRATOR, password: str = "") -> dict[str, str]:
        return {
            "host": "127.0.0.1",
            "port": str(self.port),
            "dbname": database,
            "user": user,
            "password": password or self.password,
        }

    def connect(self, database: str = "postgres", user: str = ADMINISTRATOR, password: str = "") -> psycopg.Connection:
        return connect(self.parameters(database, user, password), application_name="keelson test", deadline=30)


class Instance:
    """A server of a test's own, which may be killed and started again."""

    def __init__(self, directory: Path, parameters: Mapping[str, str]) -> None:
        self.server = Server(_free_port(), secrets.token_urlsafe(24), directory / "log", root.find())
        self.data = directory / "data"
        self.data.mkdir(mode=0o700)
        (self.data / "password").write_text(self.server.password)
        options = ["--auth=scram-sha-256", f"--username={ADMINISTRATOR}", "--pwfile=/data/password"]
        initdb = [self.server.root.program("initdb"), "-D", "/data/pg", "--no-sync", "--locale=C.UTF-8", *options]
        self.server.root.run(initdb, data=self.data)
        settings = {**parameters, "port": str(self.server.port)}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._command = [self.server.root.program("postgres"), "-D", "/data/pg", *words]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers; while it was down, a client of another server may have taken its port."""
        deadline = time.monotonic() + 30
        while not _is_free(self.server.port) and time.monotonic() < deadline:
            time.sleep(0.05)
        command = self.server.root.command(self._command, data=self.data)
        with self.server.log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, env=root.plain_environment())
        self.server.connect().close()

    def kill(self) -> None:
        """End all its processes at once, as a crash does."""
        if self._process:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(directory: Path, parameters: Mapping[str, str] = PARAMETERS) -> Iterator[Server]:
    """Run a server on a free port in `directory`; it ends with the block, or with this process."""
    with instance(directory, parameters) as made:
        yield made.server


@contextmanager
def instance(directory: Path, parameters: Mapping[str, str] = PARAMETERS) -> Iterator[Instance]:
    """Run a server that may be killed and started again."""
    made = Instance(directory, parameters)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
