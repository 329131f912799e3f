"""The first process inside a test cluster's namespaces: prepares them, starts the programs, and ends with the first that ends.

When it ends, the kernel ends all others with it, pods too. Started by the keeper, with the cluster's directory.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tools.kubernetes import groups, images, parts, place
from tools.kubernetes.api import Api, RefusedError
from tools.kubernetes.place import GATEWAY, INSIDE, NODE, SERVICES, Place

if TYPE_CHECKING:
    from collections.abc import Callable

BIND, RECURSIVE, SHARED = 0x1000, 0x4000, 1 << 20  # of mount(2)
POLL = 0.02  # seconds between two looks
DEADLINE = 120.0  # seconds for a part to answer
PRIVATE = {"/var/lib": "lib", "/var/log": "log"}  # of the machine's, replaced by the cluster's own
SETTINGS = {  # of the whole machine, which the kubelet wants so and would change: it finds, and may change, a copy
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount, by the system call: the program would follow the links that lead to an open directory."""
    words = (each.encode() for each in (source, str(target), kind))
    if _libc.mount(*words, ctypes.c_ulong(flags), options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def prepare_mounts(directory: Path) -> None:
    """Put directories of the cluster's own in the place of the machine's."""
    mount("none", Path("/"), flags=SHARED | RECURSIVE)
    own = os.open(directory, os.O_PATH)
    mounted = groups.hierarchies()
    mount("tmpfs", Path("/run"), "tmpfs", options="mode=755")
    INSIDE.mkdir()
    mount(f"/proc/self/fd/{own}", INSIDE, flags=BIND)
    os.close(own)
    for target, name in PRIVATE.items():
        (INSIDE / name).mkdir(exist_ok=True)
        mount(str(INSIDE / name), Path(target), flags=BIND)
    mount("sysfs", Path("/sys"), "sysfs")
    _mount_groups(mounted)
    _copy_settings()


def _mount_groups(mounted: list[tuple[Path, str, str]]) -> None:
    if [kind for _, kind, _ in mounted] == ["cgroup2"]:
        mount("cgroup2", groups.TREE, "cgroup2")
    else:
        mount("tmpfs", groups.TREE, "tmpfs", options="mode=755")
        for target, kind, options in mounted:
            if kind == "cgroup":
                target.mkdir(parents=True)
                mount("cgroup", target, "cgroup", options=options)
    groups.hand_down()


def _copy_settings() -> None:
    copies = Path("/run/settings")
    for name, value in SETTINGS.items():
        copy = copies / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(value + "\n")
        mount(str(copy), Path("/proc/sys") / name, flags=BIND)


def prepare_network(where: Place) -> None:
    """Bring up the link to the machine, and the pods' bridge."""
    _wait(lambda: Path("/sys/class/net/eth0").exists(), "the link to this machine")
    # A killed pod's connections would keep this network, and with it the link, for minutes.
    (Path("/proc/sys") / "net/ipv4/tcp_orphan_retries").write_text("1\n")
    _ip("link", "set", "lo", "up")
    _ip("address", "add", f"{where.address}/30", "dev", "eth0")
    _ip("link", "set", "eth0", "up")
    if where.level == "node":
        _ip("link", "add", "pods0", "type", "bridge")
        _ip("address", "add", f"{GATEWAY}/24", "dev", "pods0")
        _ip("link", "set", "pods0", "up")
        # Towards this machine, as a node's default route: webhooks are called, and a Service without pods refuses at once.
        _ip("route", "add", SERVICES, "dev", "eth0")
        for name in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
            (Path("/proc/sys") / name).write_text("1\n")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Cluster:
    """The programs that run here."""

    def __init__(self, where: Place) -> None:
        self.where = where
        self.running: dict[int, str] = {}

    def start(self) -> None:
        """Start all programs, each when what it needs answers."""
        if self.where.level == "node":
            self._run("containerd", parts.runtime())
        self._run("etcd", parts.store())
        self._run("kube-apiserver", parts.api(self.where))
        _wait(self._ready, "the API server")
        if self.where.level == "node":
            _wait(Path(parts.CONTAINERD).exists, "containerd")
            for name in ("pause", "coredns"):
                import_image(images.archive(name))
        for name, command in parts.controllers(self.where).items():
            self._run(name, command)

    def wait(self) -> None:
        """Bury what pods leave behind, until a program ends.

        Raises:
            SystemExit: one has ended; it names it.
        """
        while True:
            self._note_end(0)

    def _note_end(self, options: int) -> None:
        process, _ = os.waitpid(-1, options)
        if name := self.running.get(process):
            sys.exit(f"{name} has ended, and the cluster with it")

    def _run(self, name: str, command: list[str]) -> None:
        with (INSIDE / "logs" / f"{name}.log").open("w") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.running[process.pid] = name
        process.returncode = 0  # `wait` is told of its end

    def _ready(self) -> bool:
        self._note_end(os.WNOHANG)
        try:
            return bool(Api(INSIDE / "kubeconfig").ask("GET", "/readyz") == "ok")
        except (OSError, RefusedError, http.client.HTTPException):
            return False


def import_image(archive: Path) -> None:
    """Bring an archive into the node's images."""
    with archive.open("rb") as content:
        command = ["ctr", "-a", parts.CONTAINERD, "-n", "k8s.io", "images", "import", "-"]
        subprocess.run(command, stdin=content, check=True, stdout=subprocess.DEVNULL)


def _wait(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not ready():
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not come up within {DEADLINE:.0f} s")
        time.sleep(POLL)


def main(directory: Path) -> None:
    """Prepare the namespaces and run the cluster until one of its programs ends."""
    where = place.read(directory)
    prepare_mounts(directory)
    prepare_network(where)
    socket.sethostname(NODE)
    cluster = Cluster(where)
    cluster.start()
    cluster.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
