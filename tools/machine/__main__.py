"""`python3 -m tools.machine [part …]`: set this machine up, all of it or the parts named. `tools/setup` calls it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from keelson.errors import KeelsonError
from tools.machine import browser, docker, engine, environment, host, kubernetes, pgadmin, root, shell, storage
from tools.machine.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _lock() -> None:
    from keelson.docker.images import recipes  # noqa: PLC0415  # a set-up does without
    from keelson.docker.images.packages import PYTHON  # noqa: PLC0415
    from tools.kubernetes import archiver  # noqa: PLC0415

    environment.lock()
    pgadmin.lock()
    environment.compile_lock([recipes.AGENT_WANTED, "--constraints", environment.LOCK], recipes.AGENT_LOCK)
    of_barman: list[str | Path] = [archiver.WANTED, "--overrides", archiver.OVERRIDES]
    environment.compile_lock([*of_barman, "--constraints", environment.LOCK], archiver.LOCK, PYTHON)


PARTS: dict[str, Callable[[], object]] = {
    "host": host.check,
    "python": environment.ensure,
    "root": root.ensure,
    "pgadmin": pgadmin.ensure,
    "engine": engine.ensure,
    "shell": shell.ensure,
}
EXTRAS: dict[str, Callable[[], object]] = {
    "lock": _lock,
    "browser": browser.ensure,
    "docker": docker.ensure,
    "kubernetes": kubernetes.ensure,
    "storage": storage.ensure,
}


def main(names: list[str]) -> int:
    """Set up the parts named, all without names; return the exit code."""
    parts = PARTS | EXTRAS
    if unknown := set(names) - set(parts):
        print(
            f"keelson: there is no part {', '.join(sorted(unknown))}; the parts are {', '.join(parts)}", file=sys.stderr
        )
        return 2
    began = time.monotonic()
    try:
        for name in names or PARTS:
            parts[name]()
    except KeelsonError as fault:
        print(f"keelson: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nkeelson: interrupted; run the set-up again and it goes on", file=sys.stderr)
        return 130
    say(f"this machine is set up ({time.monotonic() - began:.1f} s)")
    return 0


sys.exit(main(sys.argv[1:]))
