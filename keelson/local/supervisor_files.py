"""What supervisord reads and writes for a stack: its configuration, one file per program, logs, notes, socket."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from keelson import paths
from keelson.errors import PlatformError
from keelson.local import guardian, registry, runner

if TYPE_CHECKING:
    from collections.abc import Mapping

STOP_SECONDS = 90  # until a program that does not stop is killed
LOG_SIZE = "10MB"
LOG_COPIES = 5


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


def program_file(key: str, name: str) -> Path:
    """Return the file that describes a program to supervisord."""
    return directory(key) / "programs" / f"{name}.conf"


def own_log(key: str) -> Path:
    """Return supervisord's own log."""
    return directory(key) / "supervisord.log"


def lock_file(key: str) -> Path:
    """Return the lock under which supervisord is started, stopped and given programs."""
    return registry.directory(key) / "supervisor.lock"


def daemon_command(key: str) -> list[str]:
    """Return the command that starts the stack's supervisord, which goes into the background by itself."""
    return [sys.executable, "-m", "supervisor.supervisord", "-c", str(directory(key) / "supervisord.conf")]


def write_configuration(key: str) -> None:
    """Write supervisord's own configuration, and make the directories that it needs."""
    paths.private_directory(directory(key) / "programs")
    paths.private_directory(log_file(key, "x").parent)
    paths.private_directory(socket_path(key).parent)
    values = {
        "logfile": own_log(key),
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
        + _section("program:guardian", _guardian(key))
        + _section("include", {"files": "programs/*.conf"})
    )
    paths.write_private(directory(key) / "supervisord.conf", text)


def program_text(key: str, program: Program) -> str:
    """Return what describes a program to supervisord: a runner, and the program's command for it."""
    lock = program.lock or directory(key) / f"{program.name}.lock"
    command = [
        *_script(runner.__file__),
        *("--state", str(note_file(key, program.name)), "--lock", str(lock)),
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


def _guardian(key: str) -> dict[str, object]:
    words = [str(directory(key)), str(lock_file(key)), sys.executable]
    return {
        "command": shlex.join([*_script(guardian.__file__), *words]),
        "autorestart": "true",
        "startsecs": 0,
        "startretries": 1_000_000,
        "redirect_stderr": "true",
        "stdout_logfile": directory(key) / "guardian.log",
        "stdout_logfile_maxbytes": "1MB",
        "stdout_logfile_backups": 1,
    }


def _script(file: str) -> list[str]:
    """Return the command of a small script; one name of Python, whichever link led here: another one would be a change."""
    return [str(Path(sys.executable).resolve()), "-I", "-S", file]


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
