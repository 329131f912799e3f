"""What the tests of target kubernetes need: a container runtime and network tools from Debian, and a cluster's programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from keelson.errors import PlatformError
from tools.kubernetes import build
from tools.machine import docker
from tools.machine.progress import detail, say

COMMANDS = {  # and the package that brings each
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
RULES = {"promtool": "prometheus"}  # what tries alerts; a cluster runs without it
LEVELS = ("operator", "linters")


def ensure() -> None:
    """Install what lacks and build a cluster's programs; say so where the tests are left out."""
    if os.geteuid() or not shutil.which("apt-get"):
        why = "only root can make one" if os.geteuid() else "this Linux has no apt to install its parts"
        detail(f"no test cluster, since {why}: the tests that need a real Kubernetes are left out")
        return
    try:
        if packages := [*lacking(), *_lacking(RULES)]:
            say(f"Debian packages of a test cluster: {', '.join(packages)}; about a minute")
            docker.install(packages, "kubernetes")
        for level in LEVELS:
            build.ensure(level)
    except PlatformError as fault:
        detail("a test cluster cannot be made, so the tests that need a real Kubernetes are left out")
        detail(str(fault))


def lacking() -> list[str]:
    """Return the packages whose programs this machine lacks."""
    return _lacking(COMMANDS)


def _lacking(commands: Mapping[str, str]) -> list[str]:
    return [package for command, package in commands.items() if not shutil.which(command)]
