"""One run of a job in a container of the agent's image, on a platform that keeps the schedules itself."""

from __future__ import annotations

from keelson.agent import loop
from keelson.containers import toolbox
from keelson.containers.agent import STOPPING
from keelson.containers.model import STATE_FILE, ContainerSettings

LIMIT = int(loop.LIMIT)  # seconds that a run may take


def container(key: str, name: str) -> ContainerSettings:
    """Return what the container is like that does the job `name` of a stack once, and ends."""
    return ContainerSettings(
        command=(*toolbox.PYTHON, "keelson.inside.job", key, name, "--state", STATE_FILE),
        volumes=toolbox.MOUNTS_WITH_SECRET,
        networks=("product",),
        memory={**toolbox.MEMORY, **toolbox.STATE_IN_MEMORY},
        stop_timeout=STOPPING,
    )
