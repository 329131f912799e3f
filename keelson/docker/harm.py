"""What of a stack is missing on its daemon. Then an update must look first: what the engine remembers is not there any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keelson.docker import daemon, names

WITHOUT_VOLUMES = frozenset({"agent", names.TOOLBOX})


def is_harmed(place: str, key: str, parts: Iterable[str], *, new_port: bool) -> bool:
    """Say whether a container, volume or network of the stack was taken away, or a container from its networks.

    Args:
        place: the daemon.
        key: the stack's key.
        parts: that the stack should have.
        new_port: whether a part that does not run counts too: its port may be taken, and it shall get another one.

    Raises:
        PlatformError: the daemon does not answer.
    """
    wanted = [names.TOOLBOX, *parts]
    api = daemon.connect(place).api
    mine = {"label": f"{names.STACK_LABEL}={key}"}
    with daemon.sentences(place):
        containers = {each["Names"][0].removeprefix("/"): each for each in api.containers(all=True, filters=mine)}
        volumes = {each["Name"] for each in api.volumes(mine)["Volumes"] or ()}
        networks = {each["Name"] for each in api.networks(filters=mine)}
    if not containers and not volumes - {names.backups_volume(key)}:
        return False  # it was never up, or is destroyed
    if not {names.network(key), names.admin_network(key), names.ports_network(key)} <= networks:
        return True
    if not {*_volumes(key, wanted)} <= volumes:
        return True
    found = [containers.get(names.container(key, part)) for part in wanted]
    return any(each is None or _apart(key, each) or (new_port and each["State"] != "running") for each in found)


def _volumes(key: str, parts: Iterable[str]) -> Iterable[str]:
    yield from (names.state_volume(key), names.backups_volume(key))
    for part in parts:
        if part not in WITHOUT_VOLUMES:
            yield from (names.data_volume(key, part), names.config_volume(key, part))


def _apart(key: str, container: Mapping[str, Any]) -> bool:
    """Say whether a container is on none of the networks on which parts find each other."""
    return not {names.network(key), names.admin_network(key)} & {*container["NetworkSettings"]["Networks"]}
