"""That an instance of Redis ends when it is asked to, in whatever state that finds it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from keelson.containers import replicas
from keelson.local import root
from tests.stack.harness import wait_until

SCRIPT = Path(replicas.__file__).with_name("serve.sh")
REFUSED = "Writing initial AOF, can't exit"


@dataclass
class Served:
    """A Redis that the script runs, as the first process of its own namespace."""

    process: subprocess.Popen[bytes]
    directory: Path

    @property
    def first(self) -> int:
        """The script's process."""
        return _child(self.process.pid)

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.directory / "socket"))

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def answers(self) -> bool:
        try:
            with closing(self.client()) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "serve.sh").write_text(SCRIPT.read_text())
    (tmp_path / "redis.conf").write_text("port 0\nunixsocket /data/socket\ndir /data\nsave ''\n")
    command = root.find().command(
        ["sh", "/data/serve.sh", "/data/redis.conf"], data=tmp_path, user="redis", as_first_process=True
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=tmp_path)
    found = Served(process, tmp_path)
    try:
        wait_until(found.answers, "it answers")
        yield found
    finally:
        process.kill()
        process.wait()


def _child(pid: int) -> int:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def _end(served: Served) -> int:
    os.kill(served.first, signal.SIGTERM)
    return served.process.wait(120)


def test_it_ends_with_what_redis_ends_with(served: Served) -> None:
    assert _end(served) == 0
    assert "ready to exit, bye bye" in served.log()


def test_it_ends_though_it_is_asked_while_it_writes_its_first_log(served: Served) -> None:
    with closing(served.client()) as client:
        client.mset({f"key:{number}": number for number in range(500)})
        client.config_set("rdb-key-save-delay", 10_000)  # microseconds
        client.config_set("appendonly", "yes")
        assert client.info("persistence")["aof_rewrite_in_progress"] == 1
        assert _end(served) == 0
    assert REFUSED in served.log()
    assert "Background AOF rewrite finished successfully" in served.log()


def test_it_ends_by_itself_where_redis_is_killed(served: Served) -> None:
    os.kill(_child(served.first), signal.SIGKILL)
    assert served.process.wait(120) == 128 + 9
