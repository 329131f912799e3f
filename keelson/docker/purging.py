"""Removing what a destroyed stack, or a killed command, left on a Docker daemon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from keelson.docker import daemon, names


def purge(place: str, key: str) -> Iterator[str]:
    """Remove containers, networks and volumes that bear the stack's label, backups too; give the name of each that is gone.

    Raises:
        PlatformError: the daemon does not answer, or refuses, for example because a container of somebody else uses a volume.
    """
    from docker.errors import NotFound  # noqa: PLC0415

    sweep(place, key)
    client = daemon.connect(place)
    label: dict[str, str | list[str] | bool] = {"label": f"{names.STACK_LABEL}={key}"}
    with daemon.sentences(place):
        for container in client.containers.list(all=True, filters=label, ignore_removed=True):
            with suppress(NotFound):
                container.remove(force=True, v=True)
                yield f"container {container.name}"
        for network in client.networks.list(filters=label):
            with suppress(NotFound):
                network.remove()
                yield f"network {network.name}"
        for volume in client.volumes.list(filters=label):
            with suppress(NotFound):
                volume.remove()
                yield f"volume {volume.name}"


def sweep(place: str, key: str, older_than: float = 0) -> None:
    """Remove the containers that only served to read or write files, and that a killed command left: they keep volumes in use.

    Args:
        place: the daemon.
        key: the stack's key.
        older_than: seconds; a younger one may serve somebody now.

    Raises:
        PlatformError: the daemon does not answer.
    """
    from docker.errors import NotFound  # noqa: PLC0415

    client = daemon.connect(place)
    with daemon.sentences(place):
        for each in client.api.containers(all=True, filters={"label": f"{names.SCRATCH_LABEL}={key}"}):
            if time.time() - each["Created"] >= older_than:
                with suppress(NotFound):
                    client.api.remove_container(each["Id"], v=True, force=True)
