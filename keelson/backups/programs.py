"""PostgreSQL's client programs at the ends of a backup's streams."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import IO, Any

from psycopg import pq

from keelson import inside
from keelson.backups.sealing import BLOCK, Passing, widen
from keelson.errors import BackupError

# The server ends the work of a program that is gone within a second.
SESSION_OPTIONS = "-c client_connection_check_interval=1000"
# What setpriv does, where a container has none: PR_SET_PDEATHSIG is 1 (linux/prctl.h), SIGKILL is 9.
TIE = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"

Client = Callable[[str], Sequence[str]]
Sink = Callable[[bytes], None]


class Together:
    """Programs that threads run at once, and that all end when somebody says so."""

    def __init__(self) -> None:
        self._lock, self._over = threading.Lock(), False
        self._running: set[subprocess.Popen[bytes]] = set()

    @contextmanager
    def holding(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Let a program be ended with the others during the block."""
        with self._lock:
            self._running.add(process)
            if self._over:
                process.kill()
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(process)

    def end(self) -> None:
        """End those that run, and each that is started from now on."""
        with self._lock:
            self._over = True
            for process in self._running:
                process.kill()


def run(  # noqa: PLR0913 - what a program has at its ends
    command: Sequence[str],
    what: str,
    *,
    environment: Mapping[str, str] | None = None,
    source: Passing | None = None,
    sink: Sink | None = None,
    files: Sequence[int] = (),
    group: Together | None = None,
) -> None:
    """Run a program to its end; give it `source` to read and hand what it writes to `sink`.

    Args:
        command: the program with its arguments.
        what: what it does, for messages: "the dump of auth".
        environment: variables beside the few usual ones; the place for a password.
        source: what it reads, nothing where it is None.
        sink: takes what it writes, which is dropped where it is None.
        files: descriptors that it gets beside these, under their numbers.
        group: the programs with which it is ended, for a thread that nothing else could interrupt.

    Raises:
        BackupError: it cannot be run, or failed; the sentence holds its reason.
    """
    options: dict[str, Any] = {
        "stdin": subprocess.PIPE if source else subprocess.DEVNULL,
        "stdout": subprocess.PIPE if sink else subprocess.DEVNULL,
        "env": {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": os.environ.get("HOME", "/"), **(environment or {})},
        "pass_fds": files,
    }
    with tempfile.TemporaryFile() as errors, _started(command, options | {"stderr": errors}) as process:
        with (group or Together()).holding(process), _feeding(process, source) as fed:
            while sink and process.stdout and (block := process.stdout.read1(BLOCK)):  # type: ignore[attr-defined]
                sink(block)
            status = process.wait()
        if status:
            errors.seek(0)
            reason = _reason(errors.read().decode(errors="replace")) or f"exit status {status}"
            msg = f"{what} failed: {reason}; correct it and try again"
            raise BackupError(msg)
        if fed:
            fed.result()


def version_of(client: Client, program: str) -> tuple[int, str]:
    """Return the major and the whole version of a client program, for example (17, "17.11"); raises BackupError."""
    written: list[bytes] = []
    run([*client(program), "--version"], program, sink=written.append)
    words = b"".join(written).decode().split()
    version = next((word for word in words if word[:1].isdigit()), "0")
    return int(version.partition(".")[0]), version


def environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return libpq's variables for a connection, so that no password stands in a process list."""
    variables = {
        option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar
    }
    named = {variables[key]: str(value) for key, value in parameters.items() if key in variables}
    return {"PGAPPNAME": "keelson backup", "PGOPTIONS": SESSION_OPTIONS} | named


@contextmanager
def _started(command: Sequence[str], options: Mapping[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program in a group of its own, and end it when the block raises.

    Ctrl-C of a terminal reaches this process alone.
    """
    try:
        process = subprocess.Popen([*tied(command), *command], process_group=0, **options)
    except OSError as fault:
        msg = f"cannot run {command[0]}: {fault.strerror}; install PostgreSQL's client programs"
        raise BackupError(msg) from None
    pipes = [pipe for pipe in (process.stdin, process.stdout) if pipe]
    try:
        for pipe in pipes:
            widen(pipe.fileno())
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        for pipe in pipes:
            with suppress(BrokenPipeError):
                pipe.close()
        process.wait()


def tied(command: Sequence[str]) -> list[str]:
    """Return what lets a program end with this process, even by SIGKILL; nothing where that would hide that it is missing."""
    if not shutil.which(command[0]):
        return []
    if setpriv := shutil.which("setpriv"):
        return [setpriv, "--pdeathsig", "KILL", "--"]
    return [sys.executable, "-I", "-S", "-c", TIE] if inside.here() else []


@contextmanager
def _feeding(process: subprocess.Popen[bytes], source: Passing | None) -> Iterator[Future[None] | None]:
    """Hand `source` to the program while the block reads what it writes."""
    if not (source and process.stdin):
        yield None
        return
    with ThreadPoolExecutor(1) as pool:
        fed = pool.submit(_feed, process.stdin, source)
        try:
            yield fed
        except BaseException:
            process.kill()  # which ends the feeding
            raise


def _feed(pipe: IO[bytes], source: Passing) -> None:
    with suppress(BrokenPipeError), pipe:  # a program that ends early says why by its status
        while block := source.read():
            pipe.write(block)


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or "FATAL:" in line]
    return (errors or lines[-1:] or [""])[0]
