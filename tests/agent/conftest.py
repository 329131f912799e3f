"""Jobs of a stack in directories of its own, done by real processes on a clock that tests move."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from keelson import paths
from keelson.agent import jobs, state
from keelson.agent.jobs import Job
from keelson.agent.loop import JobView, Loop
from keelson.agent.state import JobState
from keelson.endpoint import Reference
from keelson.local import processes, registry
from tests.agent import program
from tests.stack.harness import wait_until

KEY = "agent-dev"
REFERENCE = Reference(stack=KEY, target="local", server="main", database="notes")
PROGRAM = (sys.executable, program.__file__, "agent")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


@dataclass
class Jobs:
    """The jobs of one stack, the loop that does them, and the notes that they write."""

    directory: Path
    now: float = at("2026-05-01T12:00:00Z")
    key: str = KEY
    loops: list[Loop] = field(default_factory=list)

    def put(self, name: str = "backup-notes", schedule: str = "0 2 * * *", do: str = "", **more: Any) -> None:
        settings = {"notes": str(self.notes_file), "do": do} | more.pop("settings", {})
        values = {"kind": "test", "reference": REFERENCE, "registered": self.now} | more
        jobs.put(self.key, Job(name=name, schedule=schedule, settings=settings, **values))

    @property
    def notes_file(self) -> Path:
        return self.directory / "notes.txt"

    @property
    def notes(self) -> list[str]:
        return self.notes_file.read_text().splitlines() if self.notes_file.exists() else []

    @property
    def runs(self) -> int:
        return sum(note.startswith("begun") for note in self.notes)

    @property
    def half_done(self) -> bool:
        return self.notes_file.with_suffix(".half").exists()

    def go(self, kind: str = "go") -> None:
        self.notes_file.with_suffix(f".{kind}").touch()

    def new_loop(self) -> Loop:
        self.loops.append(Loop(self.key, lambda: self.now, program.RUN))
        return self.loops[-1]

    @property
    def loop(self) -> Loop:
        return self.loops[-1] if self.loops else self.new_loop()

    def move_to(self, text: str) -> None:
        """Let the clock show another time, and the loop do all that is due then."""
        self.now = at(text)
        self.settle()

    def settle(self) -> None:
        self.loop.step()
        wait_until(lambda: self.loop.step() or not self.running, "no job runs", seconds=30)

    @property
    def running(self) -> list[str]:
        return [view.job.name for view in self.loop.view.jobs if view.running]

    def view(self, name: str = "backup-notes") -> JobView:
        return next(view for view in self.loop.view.jobs if view.job.name == name)

    def state(self, name: str = "backup-notes") -> JobState:
        return state.read(self.key, name)


@dataclass
class Agents:
    """Real agents, each a process as supervisord starts it."""

    made: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, key: str = KEY, port: int = 0, *more: str, **variables: str) -> tuple[subprocess.Popen[bytes], int]:
        """Start an agent and return it with its port, 0 if it ended."""
        environment = {**os.environ, processes.MARK: str(registry.directory(key)), **variables}
        command = [*PROGRAM, key, "--port", str(port), *more]
        made = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        self.made.append(made)
        assert made.stdout
        line = made.stdout.readline().decode()
        return made, int(line.rpartition(":")[2]) if line.startswith("agent of") else 0

    def end(self) -> None:
        for each in self.made:
            each.kill()
            each.wait()
            assert each.stdout
            each.stdout.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    paths.private_directory(registry.directory(KEY))
    return tmp_path


@pytest.fixture
def stack(home: Path) -> Iterator[Jobs]:
    """A stack without jobs yet, at noon of the first of May."""
    made = Jobs(home)
    yield made
    for loop in made.loops:
        loop.end()
    mark = os.fsencode(home)
    for process in processes.running():
        with contextlib.suppress(OSError):
            if process.pid != os.getpid() and mark in Path(f"/proc/{process.pid}/environ").read_bytes():
                os.kill(process.pid, signal.SIGKILL)


@pytest.fixture
def agents(home: Path) -> Iterator[Agents]:
    assert home.is_dir()
    made = Agents()
    yield made
    made.end()
