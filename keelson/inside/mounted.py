"""The stack's state as a platform mounts it beside a process: one file of JSON, `{path: text}`, that is replaced as a whole.

What is read there is written into the stack's state directory, where all else looks for it.
"""

from __future__ import annotations

import json
from pathlib import Path

from keelson.errors import PlatformError
from keelson.inside import operations

REGISTRY = "stack.json"  # without it, it is no stack's state


class Mounted:
    """The mounted state of one stack."""

    def __init__(self, key: str, path: Path) -> None:
        self._key, self._path = key, path
        self._taken: object = None

    def follow(self) -> None:
        """Take the state over where it is another one than before.

        Raises:
            PlatformError: it cannot be read, or written; then what was taken before stays, and the next call tries again.
        """
        found = self._look()
        if found == self._taken:
            return
        try:
            operations.take_state(self._key, self._read())
        except ValueError:  # whose text may show what stands there
            raise self._nonsense() from None
        self._taken = found

    def _look(self) -> object:
        try:
            stat = self._path.stat()
        except OSError as fault:
            raise self._unreadable(fault) from None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    def _read(self) -> dict[str, str]:
        try:
            files = json.loads(self._path.read_text(encoding="utf-8"))
        except OSError as fault:
            raise self._unreadable(fault) from None
        if (
            not isinstance(files, dict)
            or REGISTRY not in files
            or not all(isinstance(each, str) for each in files.values())
        ):
            raise self._nonsense()
        return files

    def _unreadable(self, fault: OSError) -> PlatformError:
        return PlatformError(
            f"the state of stack {self._key} cannot be read from {self._path}: {fault.strerror}; mount it there"
        )

    def _nonsense(self) -> PlatformError:
        return PlatformError(f"{self._path} holds no state of stack {self._key}; look at what is mounted there")
