"""Where the archive of a server in a container lies: on a volume of its own, which toolbox and agent may only read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from keelson.backups.physical.archiving import ARCHIVE, FOLDER, Archiving, Layout
from keelson.backups.physical.chosen import ENGINE
from keelson.containers.model import CONFIG, Mount, Role

DATA = "/var/lib/postgresql/data"
SOCKETS = "/var/run/postgresql"
SEEN = "/var/lib/keelson/archives"  # by toolbox and agent, a directory for each server
ROLE = "archive:"  # start of the volume's role; the server's name follows
SHARED = 0o2750  # its group may read, and hands that on
CLUSTERS = (
    "clusters"  # on the volume, whose own directory belongs to root; below it a repository for each database cluster
)
IN_CONTAINER = Layout(DATA, CONFIG, f"{ARCHIVE}/{CLUSTERS}", by_cluster=True, sockets=SOCKETS)
MODES = {name: mode for name, (_, mode) in ENGINE.files(Archiving(), "", 0, IN_CONTAINER).items()}
WORK = f"{FOLDER}/"  # on the volume of the data


def role(server: str) -> Role:
    """Return the role of the volume with a server's archive."""
    return f"{ROLE}{server}"


def mounted(server: str) -> Path:
    """Return where toolbox and agent see the repositories of a server."""
    return Path(SEEN) / server / CLUSTERS


def readers(servers: Iterable[str]) -> dict[Role, Mount]:
    """Return the mounts of those who only read."""
    return {role(name): Mount(f"{SEEN}/{name}", read_only=True) for name in servers}
