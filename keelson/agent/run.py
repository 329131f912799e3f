"""One run of one job, in a process of its own: `python -m keelson.agent.run KEY JOB --result FD --parent PID`.

It ends when the agent does: the kernel sends it TERM, and what was half made is cleared up on the way out. The outcome goes as
one JSON object to the descriptor that the agent gave; what the job prints goes to the agent's log.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType

from keelson.agent import jobs, kinds
from keelson.errors import KeelsonError
from keelson.local.runner import die_with_parent

CLEARING = 20.0  # seconds that a run has to clear up after TERM
NICE = 10  # applications come first
TERMINATED = 128 + signal.SIGTERM


def main(argv: list[str]) -> int:
    """Run the job, tell the agent how it went, and return 1 if it failed."""
    key, name, options = argv[0], argv[1], dict(zip(argv[2::2], argv[3::2], strict=True))
    signal.signal(signal.SIGTERM, leave)
    die_with_parent(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the agent blocks what it waits for
    if os.getppid() != int(options["--parent"]):  # it was gone before the kernel was asked
        return 1
    os.nice(NICE)
    outcome = attempt(key, name)
    os.write(int(options["--result"]), json.dumps(outcome).encode())
    return 1 if outcome["error"] else 0


def attempt(key: str, name: str, where: str = "see `keelson logs agent`") -> dict[str, object]:
    """Do what the job says and return what came of it: `error` (empty if it went well) and `figures`.

    A defect's traceback is printed; `where` says where the reader finds it.
    """
    try:
        job = jobs.load(key, name)
        with alone(key):
            figures = kinds.function(job.kind)(job) or {}
    except KeelsonError as fault:
        return {"error": str(fault), "figures": {}}
    except Exception as fault:  # noqa: BLE001 - a defect of a job is told like any other failure
        traceback.print_exc()
        return {"error": f"unexpected {type(fault).__name__}: {fault}; {where}", "figures": {}}
    return {"error": "", "figures": {each: float(figure) for each, figure in figures.items()}}


@contextlib.contextmanager
def alone(key: str) -> Iterator[None]:
    """Wait for a run before, which may still be clearing up. The jobs' directory is the lock: it needs no room on a full disk."""
    descriptor = os.open(jobs.directory(key), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def leave(_number: int, _frame: FrameType | None) -> None:
    """Unwind, so that what is half made is removed; what does not unwind in time is cut off."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    last = threading.Timer(CLEARING, os._exit, [TERMINATED])
    last.daemon = True
    last.start()
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
