"""Ports that the stacks of a test run prefer: each process of a run has a range that no other process uses.

Two stacks that look for a port at the same moment find the same one free, and one of them then loses it.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

FIRST, LAST = 10_000, 32_000  # below the ports that clients get
PORTS = 1_000  # of one process
APART = 4  # so that a part whose port is taken does not take its neighbour's


@functools.cache
def preferred_ports() -> Iterator[int]:
    """Return this process's ports, over and over: who had one that comes again has long ended."""
    return itertools.cycle(range(first := _lock_a_range(), first + PORTS, APART))


def _lock_a_range() -> int:
    """Return the first port of a range that nobody holds; it stays locked until this process ends."""
    directory = Path(tempfile.gettempdir()) / f"keelson-test-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    for first in range(FIRST, LAST, PORTS):
        lock = os.open(directory / str(first), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return first
    msg = f"all ranges of ports in {directory} are held by test runs; end some of them"
    raise RuntimeError(msg)
