"""The container through which what lies inside a stack is asked, and what it shares with the agent.

Both see what a laptop has in `$XDG_STATE_HOME` and `$XDG_DATA_HOME`. A directory of the user's own for backups is seen at the
same path as on the machine that runs the container, so that a job means the same place wherever it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keelson.containers import archive
from keelson.containers.model import (
    DATA_PATH,
    MOUNTED_PATH,
    STATE_PATH,
    ContainerSettings,
    Memory,
    Mount,
    Network,
    Role,
)

NAME = "toolbox"
UID = GID = 10001  # of the agent's image
PYTHON = ("python3", "-I", "-m")
MEMORY: Mapping[str, Memory] = {"/tmp": Memory(256, programs=True)}  # noqa: S108 - inside the container
# Where a platform keeps the state as a secret, a copy of it lies in memory: handed over in a session, or read where that is mounted.
MOUNTS_WITHOUT_STATE: Mapping[Role, Mount] = {"backups": Mount(DATA_PATH)}
MOUNTS_WITH_SECRET = {**MOUNTS_WITHOUT_STATE, "secret": Mount(MOUNTED_PATH, read_only=True)}
STATE_IN_MEMORY: Mapping[str, Memory] = {STATE_PATH: Memory(16, private=True)}
# The shell reaps what processes of the toolbox leave behind, and ends at once when it is asked to.
COMMAND = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 86400 & wait $!; done")


def mounts(backups: str = "", archived: Sequence[str] = ()) -> Mapping[Role, Mount]:
    """Return where toolbox and agent see what.

    Args:
        backups: a directory of the machine, which is bound.
        archived: the servers that keep an archive.
    """
    bound = {backups: Mount(backups)} if backups else {}
    return {"state": Mount(STATE_PATH), "backups": Mount(DATA_PATH), **bound, **archive.readers(archived)}


def networks(*, outside: bool) -> tuple[Network, ...]:
    """Return the networks of toolbox and agent; with `outside` they ask what is not of the stack, such as a bucket."""
    return ("product", "admin", "outside") if outside else ("product", "admin")


def container(
    backups: str = "", archived: Sequence[str] = (), *, state_in_memory: bool = False, outside: bool = False
) -> ContainerSettings:
    """Return what the toolbox's container is like; with the state in memory, each session hands it over."""
    return ContainerSettings(
        command=COMMAND,
        volumes=MOUNTS_WITHOUT_STATE if state_in_memory else mounts(backups, archived),
        networks=networks(outside=outside),
        memory={**MEMORY, **STATE_IN_MEMORY} if state_in_memory else MEMORY,
        stop_timeout=5,
    )
