"""The processes of a stack on this machine, found by a mark in their environment that children inherit."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keelson.local import registry, shared_memory

if TYPE_CHECKING:
    from collections.abc import Iterable

MARK = "KEELSON_STATE"  # its value is the stack's state directory, which no two stacks share


@dataclass(frozen=True)
class Process:
    """A process, its parent, and its command line."""

    pid: int
    parent: int
    command: str

    @property
    def started(self) -> float:
        """When it started, in seconds since the epoch, exact to some hundredths; 0 if it has ended (proc(5), field 22 of stat)."""
        ticks = _read(self.pid, "stat").rpartition(b")")[2].split()
        since_boot = int(ticks[19]) / os.sysconf("SC_CLK_TCK") if ticks else None
        return 0.0 if since_boot is None else time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot

    @property
    def memory(self) -> int:
        """Its share of the machine's memory in bytes (PSS): pages shared by n processes count 1/n."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
        return 0


def of_stack(key: str) -> list[Process]:
    """Return all processes of a stack: supervisord, runners, sandboxes, servers."""
    everything = {process.pid: process for process in running()}
    found = {pid for pid in everything if is_marked(pid, key)}
    while more := {pid for pid, process in everything.items() if process.parent in found} - found:
        found |= more
    return [everything[pid] for pid in sorted(found)]


def is_marked(pid: int, key: str) -> bool:
    """Return whether a process lives and bears a stack's mark; a program that rewrites its title may lose it."""
    return f"{MARK}={registry.directory(key)}".encode() in _read(pid, "environ").split(b"\0")


def running() -> list[Process]:
    """Return all processes that this user may look at, zombies left out."""
    return [process for entry in Path("/proc").iterdir() if entry.name.isdigit() and (process := look(int(entry.name)))]


def look(pid: int) -> Process | None:
    """Return the process with this id, None if there is none or it has ended."""
    state, _, parent = _read(pid, "stat").rpartition(b")")[2].strip().partition(b" ")
    if not parent or state in (b"Z", b"X"):
        return None
    return Process(
        pid, int(parent.split()[0]), _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    )


def end_all(key: str, *, seconds: float = 10) -> None:
    """Kill all processes of a stack, supervisord first, and wait until they are gone."""
    deadline = time.monotonic() + seconds
    while (left := of_stack(key)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        wait_until_gone((process.pid for process in left), seconds=deadline - time.monotonic())
    for server in registry.Registry(key).servers().values():
        shared_memory.release(Path(server.data_directory) / "pgdata")


def wait_until_gone(pids: Iterable[int], *, seconds: float) -> bool:
    """Wait until the processes have ended; False if one lives on after `seconds`."""
    deadline = time.monotonic() + seconds
    return all(_gone(pid, deadline) for pid in pids)


def _gone(pid: int, deadline: float) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0])
    finally:
        os.close(handle)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
