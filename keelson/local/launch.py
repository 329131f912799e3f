"""What was known just before a program was started: only what comes after it tells about this start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from keelson.local import supervisor

LOG_TAIL = 65_536  # bytes of a log that are read for the reason of a failure


@dataclass(frozen=True)
class Launch:
    """A program's log, how long it was, and the time in seconds since 1970."""

    log: Path
    offset: int
    at: float

    @classmethod
    def now(cls, key: str, name: str) -> Launch:
        """Return the launch of a stack's program that is started next."""
        log = supervisor.log_file(key, name)
        return cls(log, log.stat().st_size if log.exists() else 0, time.time())

    def lines(self) -> list[str]:
        """Return the last of what the log has got since."""
        try:
            size = self.log.stat().st_size
            with self.log.open("rb") as file:
                file.seek(max(self.offset if size >= self.offset else 0, size - LOG_TAIL))
                return file.read().decode(errors="replace").splitlines()
        except OSError:
            return []
