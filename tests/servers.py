"""A throw-away PostgreSQL server with TimescaleDB for tests that need a real one."""

from __future__ import annotations

import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def running(directory: Path) -> Iterator[Server]:
    """Run a server on a free port in `directory`; it ends with the block, or with this process."""
    private_root, password = root.find(), secrets.token_urlsafe(24)
    data = directory / "data"
    data.mkdir(mode=0o700)
    (data / "password").write_text(password)
    options = ["--auth=scram-sha-256", f"--username={ADMINISTRATOR}", "--pwfile=/data/password"]
    private_root.run(
        [private_root.program("initdb"), "-D", "/data/pg", "--no-sync", "--locale=C.UTF-8", *options], data=data
    )
    port = _free_port()
    settings = [
        word for name, value in (PARAMETERS | {"port": str(port)}).items() for word in ("-c", f"{name}={value}")
    ]
    command = private_root.command([private_root.program("postgres"), "-D", "/data/pg", *settings], data=data)
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=root.plain_environment())
    server = Server(port, password, log, private_root)
    try:
        server.connect().close()
        yield server
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
