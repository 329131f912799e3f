"""What a killed engine leaves on this machine: locks in the file backend, and providers that nobody asked for anything yet."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from keelson.local import processes

PROVIDER = ("-m", "pulumi.dynamic")  # the arguments of a dynamic provider's process; the engine's address follows
SECONDS_TO_WRITE = 1.0  # that a lock may take from its first byte to its name


@dataclass(frozen=True)
class Lock:
    """What the file backend writes while somebody works on a stack."""

    path: Path
    pid: int
    user: str
    host: str
    since: datetime

    @property
    def stale(self) -> bool:
        """Whether the process that took it ran on this machine and is gone; another may have got its number since."""
        if self.host != socket.gethostname():
            return False
        process = processes.look(self.pid)
        return process is None or process.started > self.since.timestamp() + 1


def locks(folder: Path) -> list[Lock]:
    """Return the locks in a stack's folder of the file backend."""
    return [lock for path in sorted(folder.glob("*.json")) if (lock := _read(path))]


def forget_half_written(folder: Path) -> bool:
    """Remove locks whose writer was killed before they had their name; say whether there were any.

    The engine counts them as locks and cannot read them. One whose writer only slept is safe to remove too: the writer
    then fails to rename it, and ends without the lock.
    """
    return _remove([path for path, _ in _left(folder, "*.tmp")])


def forget_empty_attributes(folder: Path) -> bool:
    """Remove what the file backend notes beside a file where the writer was killed before it wrote; say whether there was any.

    The engine cannot read a state with empty notes, and does without where there are none.
    """
    return _remove([path for path, size in _left(folder, "*.attrs") if not size])


def end_forsaken_providers() -> None:
    """End the dynamic providers of this user whose engine is gone.

    A provider that works notices that by itself (providers/watch.py); one that was started and never asked cannot.
    """
    forsaken = [process for process in processes.running() if (port := _engine_port(process)) and not _listens(port)]
    for process in forsaken:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGTERM)


def _left(folder: Path, pattern: str) -> Iterator[tuple[Path, int]]:
    """Give the files, and their sizes, on which nobody has written for longer than a writer takes."""
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # somebody else's, who has just done with it
            about = path.stat()
            if time.time() - about.st_mtime > SECONDS_TO_WRITE:
                yield path, about.st_size


def _remove(paths: Sequence[Path]) -> bool:
    for path in paths:
        path.unlink(missing_ok=True)
    return bool(paths)


def _engine_port(process: processes.Process) -> int | None:
    words = process.command.split(" ")
    if tuple(words[-3:-1]) != PROVIDER:
        return None
    host, _, port = words[-1].rpartition(":")
    return int(port) if host == "127.0.0.1" and port.isdigit() else None


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    except OSError:  # not known: leave it
        return True
    return True


def _read(path: Path) -> Lock | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        taken = datetime.fromisoformat(values["timestamp"]).astimezone()
        return Lock(path, int(values["pid"]), values["username"], values["hostname"], taken)
    except (FileNotFoundError, ValueError, KeyError):  # released meanwhile, or not the engine's: the engine decides
        return None
