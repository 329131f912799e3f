"""The agent's hold on the process of one run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from keelson.agent.run import CLEARING

RUN = (sys.executable, "-I", "-m", "keelson.agent.run")
LONGEST_LINE = 8192
GRACE = CLEARING + 5  # seconds from TERM to KILL


@dataclass(frozen=True)
class Outcome:
    """How a run ended: nothing in `error` means well."""

    error: str
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)


class Child:
    """A run in a process and a session of its own; must be started by the agent's main thread, with which it dies.

    Raises:
        OSError: the machine lets no process start.
    """

    def __init__(self, key: str, name: str, limit: float, command: Sequence[str] = RUN) -> None:
        self._name, self._limit = name, limit
        self._began, self._asked = time.monotonic(), 0.0
        self._result, write = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*command, key, name, "--result", str(write), "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(write,),
                start_new_session=True,
            )
        except OSError:
            os.close(self._result)
            raise
        finally:
            os.close(write)
        threading.Thread(target=_pass_on, args=(self._process.stdout, name), daemon=True).start()

    @property
    def pid(self) -> int:
        """The run's process id."""
        return self._process.pid

    def outcome(self) -> Outcome | None:
        """Return how it ended, None while it runs; one beyond its limit is ended, and killed where it does not end."""
        spent = time.monotonic() - self._began
        if self._process.poll() is None:
            if not self._asked and spent > self._limit:
                self.end()
            elif self._asked and time.monotonic() - self._asked > GRACE:
                self._signal(signal.SIGKILL)
            return None
        self._signal(signal.SIGKILL)  # what it left running
        return self._told(spent)

    def end(self) -> None:
        """Ask it to clear up and end."""
        self._asked = time.monotonic()
        self._signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until it has ended; kill it where it does not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _told(self, spent: float) -> Outcome:
        with os.fdopen(self._result, "rb") as pipe:
            os.set_blocking(pipe.fileno(), False)
            text = pipe.read() or b""
        if self._asked:
            return Outcome(f"it took longer than its limit of {self._limit:g} s and was ended", spent)
        try:
            told = json.loads(text)
            return Outcome(str(told["error"]), spent, dict(told["figures"]))
        except (ValueError, KeyError, TypeError):
            return Outcome(
                f"its process ended with {_status(self._process.returncode)}; see `keelson logs agent`", spent
            )

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _status(code: int) -> str:
    return f"status {code}" if code >= 0 else signal.Signals(-code).name


def _pass_on(output: IO[bytes], name: str) -> None:
    """Write what a run prints to the agent's own output, with the job's name; until nobody can write there any more."""
    with output:
        while line := output.readline(LONGEST_LINE):
            with contextlib.suppress(OSError):
                os.write(1, f"{name}: ".encode() + line.rstrip(b"\n") + b"\n")
