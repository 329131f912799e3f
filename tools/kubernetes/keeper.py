"""Keeps a test cluster: makes its namespaces, waits for its end or that of a process, and removes what the kernel does not.

`unshare` ends with the keeper and takes the first process inside along, with which all others end; network, link and mounts go
with them. Control groups and files are what is left for the keeper, or for `down` and the next cluster of its slot.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from keelson.local.runner import die_with_parent
from tools.kubernetes import groups, place
from tools.machine.places import PROJECT

NAMESPACES = ["--net", "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
PATIENCE = 10.0  # seconds for the first process inside to be there


def main(directory: Path, until: int | None) -> None:
    """Run the cluster of a directory to its end."""
    where = place.read(directory)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    ends = [woken, *([os.pidfd_open(until)] if until else [])]
    groups.remove(where.link)
    groups.make(where.link)
    box = _start(where)
    try:
        connect(where, first_inside(box))
        asked, _, _ = select.select([*ends, os.pidfd_open(box.pid)], [], [])
    finally:
        box.kill()
        box.wait()
        disconnect(where)
        groups.remove(where.link)
    if set(asked) & set(ends):  # else its logs say why it ended by itself
        shutil.rmtree(directory, ignore_errors=True)


def _start(where: place.Place) -> subprocess.Popen[bytes]:
    def prepare() -> None:
        die_with_parent(signal.SIGKILL)
        groups.enter(where.link)

    command = ["unshare", *NAMESPACES, sys.executable, "-m", "tools.kubernetes.inside", str(where.directory)]
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        preexec_fn=prepare,  # noqa: PLW1509 - the keeper has one thread
        close_fds=False,  # the slot's lock is held by all of them
    )


def first_inside(box: subprocess.Popen[bytes]) -> int:
    """Return the first process inside, as this machine numbers it."""
    children = Path(f"/proc/{box.pid}/task/{box.pid}/children")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    sys.exit("unshare could not make the cluster's namespaces")


def connect(where: place.Place, inside: int) -> None:
    """Make the link between this machine and the cluster."""
    disconnect(where)
    peer = ["peer", "name", "eth0", "netns", str(inside)]
    _ip("link", "add", where.link, "type", "veth", *peer)
    _ip("address", "add", f"{where.host_address}/30", "dev", where.link)
    _ip("link", "set", where.link, "up")


def disconnect(where: place.Place) -> None:
    """Remove the link; the kernel does so too, some time after the last process inside has ended."""
    subprocess.run(["ip", "link", "delete", where.link], check=False, stderr=subprocess.DEVNULL)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else None)
