"""A whole stack in a folder, a home and a backend of its own, brought up by the real engine on real servers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml

from keelson.local import processes
from tests.patience import deadline
from tests.ports import preferred_ports

CHECKOUT = Path(__file__).resolve().parents[2]
DEADLINE = 120.0
LINES_SHOWN = 60  # of what a failed command said; why it failed stands at the end

WITHOUT = {"redis": {}, "pgadmin": {"enabled": False}, "agent": {"enabled": False}}  # unless a test is about them

NOTES = {
    "database.yaml": "server: main\n",
    "migrations/001_notes.sql": "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL);\n",
    "migrations/001_notes.down.sql": "DROP TABLE notes;\n",
    "seeds/dev/001_notes.sql": "INSERT INTO notes (body) SELECT 'note ' || n FROM generate_series(1, 10) AS n\n"
    "WHERE NOT EXISTS (SELECT FROM notes);\n",
}


@dataclass
class StackUnderTest:
    """One stack; `settings` are the keys of its stack file without their namespace."""

    home: Path
    name: str = "dev"
    settings: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)  # of the environment, beside the usual

    def __post_init__(self) -> None:
        self._ports: dict[str, int] = defaultdict(preferred_ports().__next__)
        self._urls: dict[tuple[str, str], str] = {}
        self.root = self.home / "project"
        self.root.mkdir(parents=True)
        shutil.copy(CHECKOUT / "__main__.py", self.root)
        shutil.copy(CHECKOUT / "Pulumi.yaml", self.root)
        (self.root / ".venv").symlink_to(Path(sys.prefix))
        (self.root / "sql").mkdir()
        self.settings = {"environment": "dev", "target": "local", "servers": {"main": {}}, **WITHOUT} | self.settings
        self.write_settings()

    @property
    def key(self) -> str:
        return f"keelson-{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "KEELSON_", "PG"))}
        passphrase = {} if self.name == "dev" else {"PULUMI_CONFIG_PASSPHRASE": "a test's own"}
        places = {
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "200",
        }
        return kept | places | passphrase | self.variables

    def write_settings(self, **changes: Any) -> None:
        """Change settings; a part that names no port prefers one that no other stack of this run does."""
        self.settings |= changes
        ported = {kind: self._with_ports(self.settings[kind]) for kind in ("servers", "redis")}
        ported |= {kind: {"preferred_port": self._ports[kind]} | self.settings[kind] for kind in ("pgadmin", "agent")}
        path = self.root / f"Pulumi.{self.name}.yaml"
        kept = yaml.safe_load(path.read_text()) if path.exists() else {}
        kept["config"] = {f"keelson:{key}": value for key, value in (self.settings | ported).items()}
        path.write_text(yaml.safe_dump(kept, sort_keys=False))

    def preferred_port(self, part: str) -> int:
        return self._ports[part]

    def _with_ports(self, parts: dict[str, Any]) -> dict[str, Any]:
        return {name: {"preferred_port": self._ports[name]} | more for name, more in parts.items()}

    def write_service(self, service: str, files: dict[str, str] = NOTES) -> None:
        for name, text in files.items():
            path = self.root / "sql" / service / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def keelson(self, *arguments: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        if arguments[0] != "url":
            self._urls.clear()
        command = [str(Path(sys.prefix) / "bin" / "keelson"), *arguments]
        more["env"] = self.environment | {"KEELSON_STACK": self.name} | more.get("env", {})
        return self.run(command, check=check, **more)

    def run(self, command: list[str], *, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        options = {
            "cwd": self.root,
            "env": self.environment,
            "text": True,
            "stdin": subprocess.DEVNULL,
            "timeout": 300,
        } | more
        done = subprocess.run(command, capture_output=True, check=False, **options)
        if check and done.returncode:
            said = "\n".join([*done.stdout.splitlines()[-LINES_SHOWN:], *done.stderr.splitlines()[-LINES_SHOWN:]])
            msg = f"{command} ended with {done.returncode}\n{said}"
            raise AssertionError(msg)
        return done

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run pulumi as `keelson` would, and as a person who sourced the environment does."""
        self._urls.clear()
        script = (
            "import os, sys; from keelson.project import find_project; from keelson import stack;"
            "os.execve(stack.find_engine(), ['pulumi', *sys.argv[2:]], stack.environment(find_project(), sys.argv[1]))"
        )
        return self.run([sys.executable, "-c", script, self.name, *arguments, "--stack", self.name], check=check)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a keelson command in a session of its own, to be killed or waited for."""
        self._urls.clear()
        return subprocess.Popen(
            [str(Path(sys.prefix) / "bin" / "keelson"), *arguments, "--stack", self.name],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def export(self) -> dict[str, Any]:
        return dict(json.loads(self.pulumi("stack", "export").stdout))

    def url(self, service: str, role: str = "app") -> str:
        return self.keelson("url", service, "--role", role).stdout.strip()

    def connect(self, service: str, role: str = "app") -> psycopg.Connection:
        """Connect by the URL that is printed; it is asked for anew after any other command, and where it leads nowhere any more."""
        known = self._urls.get((service, role))
        with contextlib.suppress(psycopg.OperationalError):
            if known:
                return psycopg.connect(known, autocommit=True)
        self._urls[service, role] = self.url(service, role)
        return psycopg.connect(self._urls[service, role], autocommit=True)

    def count(self, service: str, table: str) -> int:
        with self.connect(service, "admin") as connection:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row
        return int(row[0])

    @property
    def folders(self) -> dict[str, str]:
        """Where the stack's files lie."""
        return {
            "STATE": str(self.home / "state/keelson/stacks" / self.key),
            "BACKUPS": str(self.home / "data/keelson/backups" / self.key),
        }

    def sh(self, script: str, *words: str) -> str:
        """Run a shell script where the stack's files lie, with `folders` as its variables."""
        return self.run(["sh", "-euc", script, "sh", *words], env=self.environment | self.folders).stdout

    def read(self, name: str) -> str:
        """Return a file of the stack's state."""
        return self.sh('cat "$STATE/$1"', name)

    def write(self, name: str, text: str) -> None:
        """Write a file of the stack's state."""
        self.sh('printf %s "$2" >"$STATE/$1"', name, text)

    def passwords(self) -> dict[str, str]:
        """Return all passwords of the stack, by server and role."""
        return dict(json.loads(self.read("secrets.json")))

    def backups_of(self, service: str) -> list[str]:
        """Return the ids of a service's backups, and the hidden names of those that are being made."""
        return self.sh('ls -A "$BACKUPS/$1" 2>/dev/null | grep -v "^.lock$" || true', service).split()

    def fetch(self, file: str) -> Path:
        """Return a copy of a file of the stack's backups."""
        path = self.home / "fetched" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.sh('base64 "$BACKUPS/$1"', file)))
        return path

    def certificate_of(self, server: str) -> str:
        """Return where a server's certificate lies."""
        return str(self.home / "data/keelson/stacks" / self.key / server / "tls/server.crt")

    def port(self, part: str) -> int:
        """Return where a daemon answers on this machine."""
        return int(json.loads(self.read("stack.json"))["daemons"][part]["port"])

    def logs(self) -> str:
        """Return what all parts have logged."""
        return _texts(Path(self.folders["STATE"]) / "logs")

    def shown(self) -> str:
        """Return what the machine shows of the stack: command lines, and all files of its state but the secrets'."""
        places = [self.home / "state", self.home / "data/keelson/stacks" / self.key / "redis"]
        return "".join([*self.processes().values(), *map(_texts, places)])

    def left(self) -> list[str]:
        """Return what a destroyed stack has left, but for its backups."""
        folders = (self.home / "data/keelson/stacks", self.home / "state/keelson/stacks", self.home / "run")
        return [str(path) for folder in folders for path in folder.rglob("*") if path.is_file()]

    def has_data(self, part: str) -> bool:
        """Whether there is a directory or volume of a part's data."""
        return (self.home / "data/keelson/stacks" / self.key / part).exists()

    def running(self) -> list[str]:
        """Return what runs of this stack."""
        return list(self.processes().values())

    def pid(self, part: str) -> int:
        """Return the number of a part's own process, 0 when it does not run."""
        note = Path(self.folders["STATE"]) / "supervisor" / f"{part}.json"
        pid = int(json.loads(note.read_text())["server"]) if note.exists() else 0
        return pid if pid and processes.look(pid) else 0

    def tree(self, part: str) -> list[int]:
        """Return the numbers of all processes of a part."""
        note = Path(self.folders["STATE"]) / "supervisor" / f"{part}.json"
        runner = int(json.loads(note.read_text())["runner"]) if note.exists() else 0
        pids = {runner} if runner and processes.look(runner) else set()
        while more := {process.pid for process in processes.running() if process.parent in pids} - pids:
            pids |= more
        return sorted(pids)

    def kill(self, part: str) -> None:
        """Kill a part's own process, as the kernel does that is out of memory."""
        os.kill(self.pid(part), signal.SIGKILL)

    @contextlib.contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """Stop all processes of a part; let them go on afterwards."""
        pids = self.tree(part)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def go_down(self) -> None:
        """End all of the stack at once, as a machine that goes down."""
        StackUnderTest.end(self)

    def processes(self) -> dict[int, str]:
        """Every process that has this test's home in its environment or command line, and what descends from it."""
        mark = os.fsencode(self.home)
        everything = {process.pid: process for process in processes.running() if process.pid != os.getpid()}
        found = {pid for pid in everything if mark in _environment_and_command(pid)}
        while more := {pid for pid, process in everything.items() if process.parent in found} - found:
            found |= more
        return {pid: everything[pid].command for pid in sorted(found)}

    def engine_processes(self) -> dict[int, str]:
        """Of these, the engine's own: the engine, its language host, its providers."""
        return {pid: command for pid, command in self.processes().items() if "pulumi" in command.lower()}

    def end(self) -> None:
        """End every process of this test by its id."""
        for kind in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, kind)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not self.processes(), "processes ended", seconds=20)


def changed(said: str) -> set[str]:
    """Return what an `up` or a preview says that it changes: types of resources, but for the copy of the settings in the stack's state."""
    found = re.findall(r"^ [~+-]+ +\S+:(\w+) +\S+ +(?:updat|replac|creat|delet)", said, re.MULTILINE)
    return set(found) - {"DockerSettings", "KubernetesStackSettings"}


def notes_up(make: Callable[..., StackUnderTest], **settings: Any) -> StackUnderTest:
    """Return a stack with one service of ten rows, up."""
    made = make(**settings)
    made.write_service("notes")
    made.keelson("up")
    return made


def _texts(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "secrets.json"]
    return "".join(path.read_text(errors="replace") for path in files)


def _environment_and_command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def wait_until(condition: Callable[[], object], what: str | Callable[[], str], seconds: float = DEADLINE) -> None:
    """Poll `condition` until it holds; AssertionError after the deadline, with `what` as it is said then."""
    until = deadline(seconds)
    while (began := time.monotonic()) and not condition():
        assert time.monotonic() < until, f"not so in time: {what() if callable(what) else what}"
        time.sleep(
            max(0.02, time.monotonic() - began)
        )  # a look may be a whole command, and leaves time for what it waits for
