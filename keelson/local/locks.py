"""Locks between processes and threads, held on a file and freed by the kernel when the holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from keelson import paths
from keelson.errors import PlatformError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLL = 0.02  # seconds between two tries


@contextlib.contextmanager
def exclusive(path: Path, *, seconds: float = 120) -> Iterator[None]:
    """Hold the lock file `path`, waiting for at most `seconds`.

    Raises:
        ServerError: somebody else held it all the time.
        PlatformError: the lock file cannot be opened.
    """
    paths.private_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        msg = f"cannot open the lock {path}: {fault.strerror}; give write access to its directory"
        raise PlatformError(msg) from None
    try:
        _wait(descriptor, path, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                msg = f"another process holds {path}; wait for it, or end it, and run the command again"
                raise ServerError(msg) from None
            time.sleep(POLL)
        else:
            return
