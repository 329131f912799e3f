"""Where the set-up puts things, and how two set-ups at once keep out of each other's way."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from keelson import paths
from tools.machine.progress import detail

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
LOCAL = PROJECT / ".keelson"  # what belongs to this checkout on this machine
LOGS = LOCAL / "logs"


def cache(part: str) -> Path:
    """Return the cache's directory of `part`, made with mode 0700."""
    paths.private_directory(paths.cache())
    return paths.private_directory(paths.cache() / part)


@contextlib.contextmanager
def alone(part: str) -> Iterator[None]:
    """Hold the lock of a part of the cache; wait, and say so, while another set-up holds it."""
    descriptor = os.open(cache(part) / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            detail(f"another set-up is at work on {cache(part)}; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def checkout() -> None:
    """Make this checkout's own directory.

    Raises:
        PlatformError: the checkout cannot be written.
    """
    paths.private_directory(LOGS)


def point(link: Path, target: Path) -> None:
    """Let `link` lead to `target`, in one step."""
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
