"""The exporter of a Redis that speaks TLS: it verifies whom it asks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keelson.containers import exporters, state
from keelson.containers.model import CONFIG, PartSpec
from keelson.errors import UnreachableError
from keelson.inside import operations
from keelson.local import root, tls
from keelson.local.root import DATA
from tests.local.conftest import free_port, wait_until
from tests.redis.conftest import Server


@pytest.fixture
def files_of(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Its state is asked for where it lies, as in a container."""

    def ask(_place: str, key: str, operation: str, **arguments: Any) -> Any:
        return operations.find(operation)(key, **arguments)

    monkeypatch.setattr(state, "ask", ask)
    return server


@contextmanager
def exporting(server: Server, directory: Path, **replaced: str) -> Iterator[int]:
    """Give the port of an exporter whose files lie in a directory, some of them others than its own."""
    settings = {"part": server.name, "tls": "TLSv1.3"}
    spec = PartSpec("local", server.local.key, "", "exporter", "redis-exporter", "", os.getuid(), os.getgid(), settings)
    kind, port = exporters.RedisExporterKind(), free_port()
    with server.client() as admin:
        here = f"127.0.0.1:{admin.connection_pool.connection_kwargs['port']}"

    def moved(text: str) -> str:
        return text.replace(f"{server.name}:6379", here).replace(CONFIG, str(DATA))

    for name, text in ({**kind.files(spec)} | replaced).items():
        (directory / name).write_text(moved(text))
    given = kind.container(spec)
    words = ["/usr/bin/env", *(f"{name}={moved(value)}" for name, value in given.environment.items())]
    words += ["/usr/bin/prometheus-redis-exporter", f"-web.listen-address=127.0.0.1:{port}"]
    command = root.find().command(words, data=directory, user="redis", as_first_process=True)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.kill()


def figure(port: int) -> str:
    try:
        lines = exporters.page("127.0.0.1", port).splitlines()
    except UnreachableError:
        return ""
    return next((line for line in lines if line.startswith("redis_up ")), "")


def test_it_has_figures(files_of: Server, tmp_path: Path) -> None:
    with exporting(files_of, tmp_path) as port:
        wait_until(lambda: figure(port) == "redis_up 1")


def test_it_asks_nobody_whom_another_authority_vouches_for(files_of: Server, tmp_path: Path) -> None:
    tls.ensure_server("another", tmp_path / "other", "redis")
    with exporting(files_of, tmp_path, **{"ca.crt": (tmp_path / "other/ca.crt").read_text()}) as port:
        wait_until(lambda: figure(port))
        assert figure(port) == "redis_up 0"
