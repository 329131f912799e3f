"""How the things of a stack are called on a Docker daemon. All begin with the stack's key, and bear its labels."""

from __future__ import annotations

from collections.abc import Iterable

from keelson.containers import archive, toolbox
from keelson.containers.model import Network, Role

STACK_LABEL = "keelson.stack"
PART_LABEL = "keelson.part"
TOOLBOX = toolbox.NAME
SCRATCH_LABEL = "keelson.scratch"  # of containers that never start, by which files of volumes are read and written


def container(key: str, part: str) -> str:
    """Return the name of a part's container."""
    return f"{key}-{part}"


def data_volume(key: str, part: str) -> str:
    """Return the name of the volume of a part's data."""
    return f"{key}-{part}-data"


def config_volume(key: str, part: str) -> str:
    """Return the name of the volume of a part's configuration."""
    return f"{key}-{part}-config"


def state_volume(key: str) -> str:
    """Return the name of the volume of the stack's registry, secrets, certificates and jobs."""
    return f"{key}-state"


def backups_volume(key: str) -> str:
    """Return the name of the volume of the stack's backups."""
    return f"{key}-backups"


def archive_volume(key: str, server: str) -> str:
    """Return the name of the volume of a server's archive."""
    return f"{key}-{server}-archive"


def volume(key: str, part: str, role: Role) -> str:
    """Return the volume that has a role for a part; a directory of the daemon's machine is its own."""
    if role.startswith(archive.ROLE):
        return archive_volume(key, role.removeprefix(archive.ROLE))
    of_stack = {"state": state_volume(key), "backups": backups_volume(key)}
    of_part = {"data": data_volume(key, part), "config": config_volume(key, part)}
    return {**of_stack, **of_part}.get(role, role)


def networks(key: str, wanted: Iterable[Network]) -> list[str]:
    """Return the networks on which a part is reached."""
    known: dict[Network, str] = {
        "product": network(key),
        "admin": admin_network(key),
        "outside": outside_network(key),
    }
    return [known[each] for each in wanted]


def network(key: str) -> str:
    """Return the network on which the product's containers reach servers and Redis; it leads nowhere else."""
    return key


def admin_network(key: str) -> str:
    """Return the network of servers and pgAdmin; it leads nowhere else."""
    return f"{key}-admin"


def outside_network(key: str) -> str:
    """Return the network by which the stack's tools ask what is outside, such as a bucket; they do not see each other there."""
    return f"{key}-outside"


def ports_network(key: str) -> str:
    """Return the network that publishes ports on the daemon's machine; on it no container reaches another one."""
    return f"{key}-ports"


def scratch(key: str) -> dict[str, str]:
    """Return the label of a container that is removed as soon as it has served, if nobody is killed meanwhile."""
    return {SCRATCH_LABEL: key}


def labels(key: str, part: str) -> dict[str, str]:
    """Return the labels of what belongs to a part."""
    return {STACK_LABEL: key, PART_LABEL: part}
