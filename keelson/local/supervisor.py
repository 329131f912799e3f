"""One supervisord per stack: it starts the stack's programs, starts them again when they end, and keeps their logs.

Its files lie in the stack's state directory: `supervisor/` (configuration, process id, one file per program) and
`logs/` (a file per program, rotated by size). Its control socket lies in the runtime directory; it speaks XML-RPC.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson import paths
from keelson.errors import PlatformError, ServerError
from keelson.local import processes, registry, runner
from keelson.local.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

STOP_SECONDS = 90  # until a program that does not stop is killed
START_SECONDS = 10  # until supervisord must answer
LOG_SIZE = "10MB"
LOG_COPIES = 5
KEPT = (
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
)
BAD_NAME, SHUTDOWN_STATE, ALREADY_STARTED, NOT_RUNNING = 10, 6, 60, 70  # supervisor.xmlrpc.Faults


@dataclass(frozen=True)
class Program:
    """Something that supervisord keeps running, by way of a runner.

    Attributes:
        name: the part's name in the stack, for example a server's.
        command: the command line.
        stop_signal: what ends it cleanly, for example SIGINT for a postmaster.
        sandboxed: whether the command is bubblewrap, so that signals must go to its child.
        lock: a file that the program's processes hold; the next start waits until it is free.
        environment: further variables; they lie in a file of mode 0600.
    """

    name: str
    command: tuple[str, ...]
    stop_signal: str = "SIGTERM"
    sandboxed: bool = False
    lock: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProgramStatus:
    """How a program is: supervisor's word for it, and what the runner wrote down.

    Attributes:
        name: the program's name.
        state: supervisor's word, such as RUNNING or STOPPED; FAILING if its starts fail, DOWN without supervisord.
        pid: the process id of the program itself, 0 if it does not run.
        started: when it was started last, in seconds since 1970; 0 if never.
        exit_status: how it ended last, None while it runs.
        failures: how often in a row it failed at start.
    """

    name: str
    state: str
    pid: int
    started: float
    exit_status: int | None
    failures: int


def add_or_update(key: str, program: Program) -> None:
    """Run a program under the stack's supervisord; one whose command line has changed is stopped and started anew."""
    with _alone(key):
        paths.private_directory(directory(key) / "programs")
        paths.write_private(_program_file(key, program.name), _program_text(key, program))
        _ensure_running(key)
        _reread(key)
        _call(key, "startProcess", program.name, False, ignore=(ALREADY_STARTED,))  # noqa: FBT003  # do not wait


def remove(key: str, name: str) -> None:
    """Stop a program and forget it; supervisord ends with its last program."""
    with _alone(key):
        _program_file(key, name).unlink(missing_ok=True)
        if not _programs(key):
            _shutdown(key)
        elif _answers(key):
            _reread(key)
        note_file(key, name).unlink(missing_ok=True)


def start(key: str, part: str) -> None:
    """Start a program that was stopped."""
    with _alone(key):
        _ensure_running(key)
        _call(key, "startProcess", part, False, ignore=(ALREADY_STARTED,))  # noqa: FBT003


def stop(key: str, part: str) -> None:
    """Stop a program cleanly and wait for its end; nothing happens if it does not run."""
    with _alone(key):
        if _answers(key):
            _call(key, "stopProcess", part, ignore=(NOT_RUNNING, BAD_NAME))


def restart(key: str, part: str) -> None:
    """Stop a program cleanly and start it again."""
    stop(key, part)
    start(key, part)


def hang_up(key: str, part: str) -> None:
    """Let a program read its files again; nothing happens if it does not run."""
    _signal(key, part, "HUP")


def hasten(key: str, part: str) -> None:
    """Let the stop of a program that follows be one at once, not a clean one; nothing happens if it does not run."""
    _signal(key, part, "QUIT")


def status(key: str) -> list[ProgramStatus]:
    """Return how the stack's programs are, in the order of their names."""
    states: dict[str, str] = {}
    if _answers(key):
        states = {info["name"]: info["statename"] for info in _call(key, "getAllProcessInfo")}
    return [_status(key, name, states.get(name, "DOWN")) for name in _programs(key)]


def knows(key: str, name: str) -> bool:
    """Return whether a program is set up, running or not."""
    return _program_file(key, name).exists()


def noted(key: str, name: str) -> ProgramStatus:
    """Return a program's status from its runner's note alone, without asking supervisord; its state is UNKNOWN."""
    return _status(key, name, "UNKNOWN")


def shutdown(key: str) -> None:
    """Stop all programs cleanly, and supervisord; the programs' files stay for the next start.

    Raises:
        ServerError: something does not stop.
    """
    with _alone(key):
        _shutdown(key)


def directory(key: str) -> Path:
    """Return where supervisord's files lie."""
    return registry.directory(key) / "supervisor"


def log_file(key: str, name: str) -> Path:
    """Return a program's log; its older parts have the suffixes .1, .2 and so on."""
    return registry.directory(key) / "logs" / f"{name}.log"


def note_file(key: str, name: str) -> Path:
    """Return the file in which a program's runner writes down what it knows."""
    return directory(key) / f"{name}.json"


def socket_path(key: str) -> Path:
    """Return the control socket: its name also tells apart stacks of one key under different state directories."""
    digest = hashlib.sha256(os.fsencode(registry.directory(key))).hexdigest()[:8]
    longest = "control.4194304"  # supervisor binds to a name with its process id first
    return paths.runtime(f"{key}-{digest}", longest) / "control"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fsencode(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()
        self._path = path
        self._seconds = seconds

    def make_connection(self, host: object) -> http.client.HTTPConnection:  # noqa: ARG002  # there is one host
        connection = _Connection(self._path, self._seconds)
        self._connection = ("localhost", connection)  # what `close` closes
        return connection


def _call(
    key: str, method: str, *arguments: object, ignore: tuple[int, ...] = (), seconds: float = STOP_SECONDS + 10
) -> Any:  # noqa: ANN401  # XML-RPC's values
    transport = _Transport(socket_path(key), seconds)
    try:
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode in ignore:
            return None
        about = f" {arguments[0]}" if arguments else ""
        msg = f"supervisord of {key} refused {method}{about} ({fault.faultString}); see {_own_log(key)}"
        raise ServerError(msg) from None
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as fault:
        msg = f"supervisord of {key} does not answer on {socket_path(key)} ({fault}); run `keelson start`"
        raise ServerError(msg) from None


def _answers(key: str) -> bool:
    try:
        return bool(_call(key, "getState", seconds=START_SECONDS)["statecode"] == 1)
    except ServerError:
        return False


def _alone(key: str) -> AbstractContextManager[None]:
    return exclusive(registry.directory(key) / "supervisor.lock", seconds=2 * STOP_SECONDS)


def _signal(key: str, part: str, name: str) -> None:
    with _alone(key):
        if _answers(key):
            _call(key, "signalProcess", part, name, ignore=(NOT_RUNNING, BAD_NAME))


def _ensure_running(key: str) -> None:
    if _answers(key):
        return
    _await_end(key)
    _write_configuration(key)
    _launch(key)
    deadline = time.monotonic() + START_SECONDS
    while not socket_path(key).exists() or not _answers(key):
        if time.monotonic() > deadline:
            msg = f"supervisord of {key} does not start ({_last_line(_own_log(key))}); run `keelson start` again"
            raise ServerError(msg)
        time.sleep(0.02)


def _launch(key: str) -> None:
    """Start supervisord as a daemon that shares neither pipes nor terminal nor secrets with this process."""
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(directory(key) / "supervisord.conf")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        umask=0o077,
        cwd="/",
        env=_environment(key),
        check=False,
    )
    if done.returncode:
        msg = f"supervisord of {key} does not start ({_last_line(_own_log(key))}); run `make setup`"
        raise ServerError(msg)


def _environment(key: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {"LANG": "C.UTF-8", **kept, "TZ": "UTC", processes.MARK: str(registry.directory(key))}


def _await_end(key: str) -> None:
    """Wait for a supervisord that is on its way out; end one that hangs. Its runners stop their servers cleanly."""
    pid = _pid(key)
    if pid is None:
        return
    deadline = time.monotonic() + 2 * STOP_SECONDS
    # A call also wakes supervisord, which by itself looks once in a second.
    while _awake(key) and time.monotonic() < deadline:
        if processes.wait_until_gone([pid], seconds=0.02):
            return
    for number in (signal.SIGTERM, signal.SIGKILL):
        if processes.wait_until_gone([pid], seconds=1):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    processes.wait_until_gone([pid], seconds=START_SECONDS)


def _awake(key: str) -> bool:
    try:
        _call(key, "getState", ignore=(SHUTDOWN_STATE,), seconds=START_SECONDS)
    except ServerError:
        return False
    return True


def _pid(key: str) -> int | None:
    """Return the id of this stack's supervisord if it lives, whatever became of its socket."""
    try:
        pid = int((directory(key) / "supervisord.pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    process = processes.look(pid)
    return pid if process and str(directory(key) / "supervisord.conf") in process.command else None


def _shutdown(key: str) -> None:
    pid = _pid(key)
    with contextlib.suppress(ServerError):
        _call(key, "shutdown", ignore=(SHUTDOWN_STATE,))
    if pid is not None:
        _await_end(key)
    left = [process.pid for process in processes.of_stack(key)]
    if not processes.wait_until_gone(left, seconds=STOP_SECONDS):
        msg = f"processes of {key} do not end ({', '.join(map(str, left))}); look at their logs and kill them"
        raise ServerError(msg)
    socket_path(key).unlink(missing_ok=True)


def _reread(key: str) -> None:
    """Let supervisord read its files again and act on every difference, those that a killed process left included."""
    added, changed, removed = _call(key, "reloadConfig")[0]
    for name in (*removed, *changed):
        _call(key, "stopProcess", name, ignore=(BAD_NAME, NOT_RUNNING))
        _call(key, "removeProcessGroup", name, ignore=(BAD_NAME,))
    for name in (*added, *changed):
        _call(key, "addProcessGroup", name)


def _programs(key: str) -> list[str]:
    return sorted(file.stem for file in (directory(key) / "programs").glob("*.conf"))


def _program_file(key: str, name: str) -> Path:
    return directory(key) / "programs" / f"{name}.conf"


def _write_configuration(key: str) -> None:
    paths.private_directory(directory(key) / "programs")
    paths.private_directory(log_file(key, "x").parent)
    paths.private_directory(socket_path(key).parent)
    values = {
        "logfile": _own_log(key),
        "logfile_maxbytes": "1MB",
        "logfile_backups": 1,
        "pidfile": directory(key) / "supervisord.pid",
        "umask": "077",
        "nocleanup": "true",
        "childlogdir": log_file(key, "x").parent,
        "identifier": key,
        "minfds": 256,
        "minprocs": 32,
        **({"user": "root"} if os.geteuid() == 0 else {}),
    }
    text = (
        _section("unix_http_server", {"file": socket_path(key), "chmod": "0600"})
        + _section("supervisord", values)
        + _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        )
        + _section("include", {"files": "programs/*.conf"})
    )
    paths.write_private(directory(key) / "supervisord.conf", text)


def _program_text(key: str, program: Program) -> str:
    lock = program.lock or directory(key) / f"{program.name}.lock"
    command = [
        *(
            str(Path(sys.executable).resolve()),  # one name, whichever link led here: another one would be a change
            "-I",
            "-S",
            runner.__file__,
            "--state",
            str(note_file(key, program.name)),
            "--lock",
            str(lock),
        ),
        *("--supervisor", str(directory(key) / "supervisord.pid"), "--stop", program.stop_signal),
        *("--sandboxed", "yes" if program.sandboxed else "no", "--", *program.command),
    ]
    values = {
        "command": shlex.join(command),
        "environment": ",".join(f'{name}="{value}"' for name, value in sorted(program.environment.items())),
        "autostart": "true",
        "autorestart": "true",
        # A start counts at once: else the third quick end would be FATAL. The runner paces a program that cannot start.
        "startsecs": 0,
        "startretries": 1_000_000,
        "stopsignal": "TERM",
        "stopwaitsecs": STOP_SECONDS,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": log_file(key, program.name),
        "stdout_logfile_maxbytes": LOG_SIZE,
        "stdout_logfile_backups": LOG_COPIES,
    }
    return _section(f"program:{program.name}", values)


def _section(name: str, values: Mapping[str, object]) -> str:
    lines = [f"{option} = {_value(str(value))}" for option, value in values.items() if str(value)]
    return "\n".join([f"[{name}]", *lines]) + "\n\n"


def _value(text: str) -> str:
    """Return `text`, which supervisor's reader takes as it is.

    Raises:
        PlatformError: it holds what that reader takes for a comment, a new line or a variable.
    """
    if any(mark in text for mark in ("\n", " ;", " #", "%")):
        msg = f"supervisor cannot read {text!r}; choose directories without line breaks, '%', ' ;' and ' #' in their names"
        raise PlatformError(msg)
    return text


def _status(key: str, name: str, state: str) -> ProgramStatus:
    try:
        note: dict[str, Any] = json.loads(note_file(key, name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        note = {}
    # After a loss of power the ids in the note may be anybody's; with its runner a server ends too.
    lives = "ended" not in note and processes.is_marked(int(note.get("runner", 0)), key)
    pid = int(note["server"]) if lives and processes.look(int(note["server"])) else 0
    return ProgramStatus(
        name,
        "FAILING" if state == "RUNNING" and not pid and note.get("failures") else state,
        pid,
        float(note.get("started", 0)),
        note.get("status"),
        int(note.get("failures", 0)),
    )


def _own_log(key: str) -> Path:
    return directory(key) / "supervisord.log"


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "it left no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
