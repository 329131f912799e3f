"""The control groups of a test cluster, so that its kubelet sees, and fills, a tree of its own.

Made before the cluster's namespaces are, and removed when its last process has ended.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

TREE = Path("/sys/fs/cgroup")
INHERITED = ("cpuset.cpus", "cpuset.mems")  # of version 1, where a new group has none
LEAF = "cluster"  # of version 2, where a group that hands controllers down holds no process itself
PATIENCE = 10.0  # seconds for the kernel to let go of a group whose processes have ended


def hierarchies() -> list[tuple[Path, str, str]]:
    """Return what is mounted below /sys/fs/cgroup: place, type and options."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            kept = [
                each for each in options.split(",") if each not in {"rw", "ro", "relatime", "nosuid", "nodev", "noexec"}
            ]
            found.append((Path(place), kind, ",".join(kept)))
    return found


def make(name: str) -> None:
    """Make the cluster's group in each hierarchy."""
    for place, kind, _ in hierarchies():
        group = place / name
        group.mkdir(exist_ok=True)
        for file in INHERITED if kind == "cgroup" else ():
            if (group / file).exists():
                (group / file).write_text((place / file).read_text())


def enter(name: str) -> None:
    """Bring this process into the cluster's groups."""
    for place, _, _ in hierarchies():
        (place / name / "cgroup.procs").write_text(str(os.getpid()))


def hand_down() -> None:
    """Let pods' groups have all controllers where there is one hierarchy; called inside, by the first process."""
    controllers = TREE / "cgroup.controllers"
    if not controllers.exists():
        return
    (TREE / LEAF).mkdir(exist_ok=True)
    for process in (TREE / "cgroup.procs").read_text().split():
        (TREE / LEAF / "cgroup.procs").write_text(process)
    wanted = " ".join(f"+{each}" for each in controllers.read_text().split())
    (TREE / "cgroup.subtree_control").write_text(wanted)


def remove(name: str) -> None:
    """Remove the cluster's groups with all below them."""
    deadline = time.monotonic() + PATIENCE
    for place, _, _ in hierarchies():
        while (place / name).exists() and time.monotonic() < deadline:
            for group in sorted((place / name).glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    group.rmdir()
            time.sleep(0.01)
