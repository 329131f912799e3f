"""The guard of a stack's supervisord, which runs it as a script: `python -I -S guardian.py DIRECTORY LOCK PYTHON`.

supervisord starts all of a stack again but itself, and without systemd nobody else does. When supervisord was killed, this
process, which outlives it, starts another; the new one starts the programs and a guardian of its own. A
supervisord that ends as it should has ended its guardian before. It imports the standard library only, and little of that.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import time

SOON = 5.0  # seconds: where supervisord is gone sooner than that, the next try waits as long


def main(directory: str, lock: str, python: str) -> int:
    """Wait for the end of the supervisord whose files lie in `directory`, and start another unless somebody else has."""
    pid_file = f"{directory}/supervisord.pid"
    began, supervisord = time.monotonic(), os.getppid()
    if not watch(supervisord, pid_file):
        return 0
    if time.monotonic() - began < SOON:
        time.sleep(SOON)
    with open(lock, "a", encoding="ascii") as held:  # noqa: PTH123  # pathlib costs half a megabyte
        fcntl.flock(held, fcntl.LOCK_EX)
        if read(pid_file) != supervisord:
            return 0
        write_to(f"{directory}/supervisord.log")  # what this process wrote to until now has ended with supervisord
        os.write(1, f"supervisord (process {supervisord}) was killed; starting another\n".encode())
        command = [python, "-m", "supervisor.supervisord", "-c", f"{directory}/supervisord.conf"]
        return os.spawnve(os.P_WAIT, python, command, environment())  # noqa: S606


def watch(supervisord: int, pid_file: str) -> bool:
    """Wait until supervisord has ended; False if it is not this process's parent."""
    try:
        handle = os.pidfd_open(supervisord)
    except ProcessLookupError:
        return True
    if read(pid_file) != supervisord:
        return False
    select.select([handle], [], [])
    return True


def write_to(log: str) -> None:
    """Let standard output and error go to a file from now on."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)


def read(pid_file: str) -> int:
    """Return the id in a file, 0 if there is none."""
    try:
        with open(pid_file, encoding="ascii") as file:  # noqa: PTH123
            return int(file.read())
    except (OSError, ValueError):
        return 0


def environment() -> dict[str, str]:
    """Return this process's environment without what supervisord put there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
