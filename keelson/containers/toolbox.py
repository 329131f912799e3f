"""The container through which what lies inside a stack is asked, and what it shares with the agent.

Both see what a laptop has in `$XDG_STATE_HOME` and `$XDG_DATA_HOME`. A directory of the user's own for backups is seen at the
same path as on the machine that runs the container, so that a job means the same place wherever it is read.
"""

from __future__ import annotations

from collections.abc import Mapping

from keelson.containers.model import DATA_PATH, STATE_PATH, ContainerSettings, Memory, Mount, Role

NAME = "toolbox"
UID = GID = 10001  # of the agent's image
PYTHON = ("python3", "-I", "-m")
MEMORY: Mapping[str, Memory] = {"/tmp": Memory(256, programs=True)}  # noqa: S108 - inside the container
# The shell reaps what processes of the toolbox leave behind, and ends at once when it is asked to.
COMMAND = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 86400 & wait $!; done")


def mounts(backups: str = "") -> Mapping[Role, Mount]:
    """Return where toolbox and agent see what; `backups` is a directory of the machine, which is bound."""
    return {"state": Mount(STATE_PATH), "backups": Mount(DATA_PATH), **({backups: Mount(backups)} if backups else {})}


def container(backups: str = "") -> ContainerSettings:
    """Return what the toolbox's container is like."""
    return ContainerSettings(
        command=COMMAND, volumes=mounts(backups), networks=("product", "admin"), memory=MEMORY, stop_timeout=5
    )
