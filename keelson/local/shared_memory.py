"""The System V segment by which PostgreSQL notices a second server on one data directory.

A killed server leaves it behind, 56 bytes of the few thousand segments that a machine may have; the next start on the
directory removes it. Where there is no next start, `release` does.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

IPC_RMID = 0  # linux/ipc.h
LINE = 6  # of postmaster.pid: the segment's key and id


def release(pgdata: Path) -> None:
    """Remove the segment that a killed server left; one that a process still uses stays."""
    try:
        key, identifier = (pgdata / "postmaster.pid").read_text(encoding="ascii").splitlines()[LINE].split()
        table = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError, IndexError):
        return
    names, *rows = (line.split() for line in table)
    for row in rows:
        segment = dict(zip(names, row, strict=False))
        if (segment["key"], segment["shmid"], segment["nattch"]) == (key, identifier, "0"):
            ctypes.CDLL(None).shmctl(int(identifier), IPC_RMID, None)
