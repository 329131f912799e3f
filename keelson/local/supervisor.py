"""One supervisord per stack: it starts the stack's programs, starts them again when they end, and keeps their logs.

Its files lie in the stack's state directory: `supervisor/` (configuration, process id, one file per program) and
`logs/` (a file per program, rotated by size). Its control socket lies in the runtime directory; it speaks XML-RPC.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson import paths
from keelson.errors import ServerError
from keelson.local import guardian, processes, registry
from keelson.local.locks import exclusive
from keelson.local.supervisor_client import call
from keelson.local.supervisor_files import (
    STOP_SECONDS,
    Program,
    daemon_command,
    directory,
    lock_file,
    log_file,
    note_file,
    own_log,
    program_file,
    program_text,
    socket_path,
    write_configuration,
)

__all__ = [
    "Program",
    "ProgramStatus",
    "add_or_update",
    "directory",
    "hang_up",
    "hasten",
    "knows",
    "log_file",
    "note_file",
    "noted",
    "remove",
    "restart",
    "shutdown",
    "socket_path",
    "start",
    "status",
    "stop",
]

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

START_SECONDS = 10  # until supervisord must answer
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
        paths.write_private(program_file(key, program.name), program_text(key, program))
        _ensure_running(key)
        _reread(key)
        call(key, "startProcess", program.name, False, ignore=(ALREADY_STARTED,))  # noqa: FBT003  # do not wait


def remove(key: str, name: str) -> None:
    """Stop a program and forget it; supervisord ends with its last program."""
    with _alone(key):
        program_file(key, name).unlink(missing_ok=True)
        if not _programs(key):
            _shutdown(key)
        elif _answers(key):
            _reread(key)
        note_file(key, name).unlink(missing_ok=True)


def start(key: str, part: str) -> None:
    """Start a program that was stopped."""
    with _alone(key):
        _ensure_running(key)
        call(key, "startProcess", part, False, ignore=(ALREADY_STARTED,))  # noqa: FBT003


def stop(key: str, part: str) -> None:
    """Stop a program cleanly and wait for its end; nothing happens if it does not run."""
    with _alone(key):
        if _answers(key):
            call(key, "stopProcess", part, ignore=(NOT_RUNNING, BAD_NAME))


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
        states = {info["name"]: info["statename"] for info in call(key, "getAllProcessInfo")}
    return [_status(key, name, states.get(name, "DOWN")) for name in _programs(key)]


def knows(key: str, name: str) -> bool:
    """Return whether a program is set up, running or not."""
    return program_file(key, name).exists()


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


def _answers(key: str) -> bool:
    try:
        return bool(call(key, "getState", seconds=START_SECONDS)["statecode"] == 1)
    except ServerError:
        return False


def _alone(key: str) -> AbstractContextManager[None]:
    return exclusive(lock_file(key), seconds=2 * STOP_SECONDS)


def _signal(key: str, part: str, name: str) -> None:
    with _alone(key):
        if _answers(key):
            call(key, "signalProcess", part, name, ignore=(NOT_RUNNING, BAD_NAME))


def _ensure_running(key: str) -> None:
    if _answers(key):
        return
    _await_end(key)
    write_configuration(key)
    _launch(key)
    deadline = time.monotonic() + START_SECONDS
    while not socket_path(key).exists() or not _answers(key):
        if time.monotonic() > deadline:
            msg = f"supervisord of {key} does not start ({_last_line(own_log(key))}); run `keelson start` again"
            raise ServerError(msg)
        time.sleep(0.02)


def _launch(key: str) -> None:
    """Start supervisord as a daemon that shares neither pipes nor terminal nor secrets with this process."""
    done = subprocess.run(
        daemon_command(key),
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
        msg = f"supervisord of {key} does not start ({_last_line(own_log(key))}); run `make setup`"
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
        call(key, "getState", ignore=(SHUTDOWN_STATE,), seconds=START_SECONDS)
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
        call(key, "shutdown", ignore=(SHUTDOWN_STATE,))
    if pid is not None:
        _await_end(key)
    _dismiss_guardian(key)
    left = [process.pid for process in processes.of_stack(key)]
    if not processes.wait_until_gone(left, seconds=STOP_SECONDS):
        msg = f"processes of {key} do not end ({', '.join(map(str, left))}); look at their logs and kill them"
        raise ServerError(msg)
    socket_path(key).unlink(missing_ok=True)


def _dismiss_guardian(key: str) -> None:
    """End a guardian that outlived its supervisord, and waits to start another."""
    for process in processes.of_stack(key):
        if guardian.__file__ in process.command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)


def _reread(key: str) -> None:
    """Let supervisord read its files again and act on every difference, those that a killed process left included."""
    added, changed, removed = call(key, "reloadConfig")[0]
    for name in (*removed, *changed):
        call(key, "stopProcess", name, ignore=(BAD_NAME, NOT_RUNNING))
        call(key, "removeProcessGroup", name, ignore=(BAD_NAME,))
    for name in (*added, *changed):
        call(key, "addProcessGroup", name)


def _programs(key: str) -> list[str]:
    return sorted(file.stem for file in (directory(key) / "programs").glob("*.conf"))


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


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "it left no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
