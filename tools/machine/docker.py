"""What the tests of target docker need: a daemon to use, or `dockerd`, of which the tests start one of their own.

The product itself uses the daemon that its user has; nothing here starts or enables a service.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from keelson.errors import PlatformError
from tools.machine import places
from tools.machine.progress import detail, run, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGES = ("docker.io", "iptables")
SOCKET = "unix:///var/run/docker.sock"
POLICY = Path("/usr/sbin/policy-rc.d")  # Debian's packages ask it before they start a service
REFUSAL = "#!/bin/sh\nexit 101\n"
PATIENCE = 2.0  # seconds for a daemon to take a connection


def ensure() -> None:
    """Install dockerd where no daemon answers and apt may be used; say so where the tests are left out."""
    if shutil.which("dockerd") or answers(address()):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        why = "only root can start one for the tests" if os.geteuid() else "this Linux has no apt to install one"
        detail(
            f"no Docker daemon answers at {address()}, and {why}: the tests of target docker are left out; {_advice()}"
        )
        return
    say("dockerd for the tests of target docker, from Debian's packages; about a minute, 65 MB of downloads")
    try:
        install(PACKAGES, "dockerd")
    except PlatformError as fault:
        detail(f"dockerd could not be installed, so the tests of target docker are left out; {_advice()}")
        detail(str(fault))


def address() -> str:
    """Return where a client would look for the daemon: DOCKER_HOST, the current context, the usual socket."""
    return os.environ.get("DOCKER_HOST") or _context_address() or SOCKET


def answers(daemon: str) -> bool:
    """Tell whether something takes connections at a daemon's address; one behind ssh is taken on trust."""
    scheme, _, place = daemon.partition("://")
    if scheme not in {"unix", "tcp"}:
        return bool(place)
    host, _, port = place.partition("/")[0].rpartition(":")
    try:
        if scheme == "tcp":
            socket.create_connection((host, int(port)), PATIENCE).close()
        else:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PATIENCE)
                connection.connect(place)
    except (OSError, ValueError):
        return False
    return True


def _context_address() -> str:
    settings = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        name = os.environ.get("DOCKER_CONTEXT") or json.loads((settings / "config.json").read_text())["currentContext"]
        for path in (settings / "contexts" / "meta").glob("*/meta.json"):
            meta = json.loads(path.read_text())
            if meta["Name"] == name:
                return str(meta["Endpoints"]["docker"]["Host"])
    return ""


def install(packages: Iterable[str], what: str) -> None:
    """Install Debian packages without starting the services that they bring.

    Raises:
        PlatformError: apt could not; its text ends with apt's last lines.
    """
    env = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
    log = places.LOGS / f"{what}.log"
    run(["apt-get", "-q", "update"], env=env, log=log, what="the list of Debian packages")
    command = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *packages]
    with _no_service_starts():
        run(command, env=env, log=log, what=f"the installation of {what}")


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Let packages start no service meanwhile; a policy that the machine has already stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(REFUSAL)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _advice() -> str:
    return f"`apt-get install {' '.join(PACKAGES)}` by an administrator brings one"
