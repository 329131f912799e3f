"""Where a test cluster has its files, its addresses, its link and its control groups."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from keelson import paths
from keelson.errors import PlatformError

SLOTS = 64
LOCKS = Path(tempfile.gettempdir()) / "keelson-kubernetes"
INSIDE = Path("/run/cluster")  # the cluster's directory, seen by its own processes
NODE = "node"
PODS = "10.244.0.0/24"
GATEWAY = "10.244.0.1"  # of the pods, on their bridge
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
PORT = 6443


@dataclass(frozen=True)
class Place:
    """One cluster's directory, and its slot: the number that makes addresses and names its own."""

    directory: Path
    slot: int
    level: str

    @property
    def host_address(self) -> str:
        """This machine's end of the link."""
        return f"10.214.{self.slot}.1"

    @property
    def address(self) -> str:
        """The cluster's end of the link: the node's address."""
        return f"10.214.{self.slot}.2"

    @property
    def server(self) -> str:
        """Where the API server answers."""
        return f"https://{self.address}:{PORT}"

    @property
    def link(self) -> str:
        """The name of this machine's end of the link, and of the control groups."""
        return f"keelson-k{self.slot}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def logs(self) -> Path:
        """What the cluster's programs print, a file for each."""
        return self.directory / "logs"

    def write(self) -> None:
        """Note which cluster lies in the directory."""
        note = {"slot": self.slot, "level": self.level}
        paths.write_private(self.directory / "cluster.json", json.dumps(note) + "\n")


def read(directory: Path) -> Place:
    """Return the cluster that lies in a directory.

    Raises:
        PlatformError: there is none.
    """
    try:
        note = json.loads((directory / "cluster.json").read_text())
        return Place(directory, int(note["slot"]), str(note["level"]))
    except (OSError, ValueError, KeyError):
        msg = f"no test cluster lies in {directory}; `tools/cluster up --directory {directory}` makes one"
        raise PlatformError(msg) from None


def take_slot() -> tuple[int, int]:
    """Return a free slot and the lock that keeps it, held by all processes that inherit it.

    Raises:
        PlatformError: all are taken.
    """
    paths.private_directory(LOCKS)
    for number in range(SLOTS):
        if (lock := try_slot(number)) is not None:
            return number, lock
    msg = f"{SLOTS} test clusters run on this machine; end one with `tools/cluster down`"
    raise PlatformError(msg)


def try_slot(number: int) -> int | None:
    """Return the lock of a slot, None while another cluster has it."""
    lock = os.open(LOCKS / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    os.close(lock)
    return None
