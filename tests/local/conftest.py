"""Stacks of real servers, each in directories of its own; what a test starts is ended by process id."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from keelson.local import data_directory, processes, server, stack, supervisor
from keelson.local.spec import ServerSpec, ServerState
from tests.patience import deadline

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float = 20) -> T:
    until = deadline(seconds)
    while not (value := condition()):
        assert time.monotonic() < until, "the condition did not come true in time"
        time.sleep(0.01)
    return value


def free_port() -> int:
    """A port with a few free ones above it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def listener(port: int = 0, address: str = "127.0.0.1") -> Iterator[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address, port))
        taken.listen()
        yield int(taken.getsockname()[1])


@dataclass
class LocalStack:
    """One stack, its id, and what tests do to its servers."""

    key: str
    stack_id: str
    base_port: int = field(default_factory=free_port)

    def spec(self, name: str = "main", **values: object) -> ServerSpec:
        return ServerSpec(self.key, self.stack_id, name, **{"preferred_port": self.base_port, **values})

    def up(self, name: str = "main", **values: object) -> ServerState:
        spec = self.spec(name, **values)
        data_directory.make_data_directory(spec)
        return server.start(spec)

    def pid(self, name: str = "main") -> int:
        return supervisor.noted(self.key, name).pid

    def answering(self, name: str = "main") -> bool:
        return server.answering(self.key, name)

    def log(self, name: str = "main") -> str:
        return supervisor.log_file(self.key, name).read_text()

    def process(self, text: str) -> processes.Process:
        found = [process for process in processes.of_stack(self.key) if text in process.command]
        assert found, f"no process with {text!r}"
        return found[0]

    def execute(self, statement: str, name: str = "main") -> list[tuple]:
        with server.connect(self.key, name) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def end(self) -> None:
        processes.end_all(self.key)
        shutil.rmtree(supervisor.socket_path(self.key).parent, ignore_errors=True)


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    return free_port()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's directories of their own; the cache with the private root is the machine's."""
    for variable, name in (
        ("STATE_HOME", "state"),
        ("DATA_HOME", "data"),
        ("CONFIG_HOME", "config"),
        ("RUNTIME_DIR", "run"),
    ):
        monkeypatch.setenv(f"XDG_{variable}", str(tmp_path / name))
    return tmp_path


@pytest.fixture
def make_stack(home: Path) -> Iterator[Callable[[str], LocalStack]]:
    """Makes stacks by key; all their processes end with the test, whatever came of it."""
    made: list[LocalStack] = []
    assert home.is_dir()

    def make(key: str) -> LocalStack:
        made.append(LocalStack(key, stack.register(key, "dev")))
        return made[-1]

    yield make
    for each in made:
        each.end()
    assert not [left for each in made for left in processes.of_stack(each.key)]


@pytest.fixture
def local(make_stack: Callable[[str], LocalStack]) -> LocalStack:
    """A stack without servers yet."""
    return make_stack("test-dev")


@pytest.fixture
def running(local: LocalStack) -> LocalStack:
    """A stack whose server main answers."""
    local.up()
    return local
