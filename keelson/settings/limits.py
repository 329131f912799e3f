"""What a part's container may take, and settings of the program in it that would not fit into that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keelson.settings.monitoring import EXPORTERS
from keelson.settings.parts import PartSettings, RedisSettings, count_bytes

if TYPE_CHECKING:
    from keelson.settings.stack import StackSettings

MEMORY = {  # where the settings say nothing
    "server": "2gb",
    "pgadmin": "768mb",
    "agent": "768mb",
    "toolbox": "1gb",
    **dict.fromkeys(EXPORTERS.values(), "96mb"),
}
BESIDE_REDIS = {
    "sentinel": "64mb",
    "proxy": "192mb",
}  # of each instance of several, and of what leads clients to the master
BESIDE_ARCHIVED = "512Mi"  # what sends the archive of a server of several instances, beside each of them
PROXIES = 2  # of a Redis of several instances
CPUS = 0.1  # that a pod asks for where they say nothing
REDIS_OVERHEAD = 2  # times maxmemory: a snapshot is written by a copy of the process, and clients have buffers
REDIS_LEAST = 128 * 2**20
SHARED_BUFFERS = "64MB"  # where the settings say nothing
SHARE = (
    2  # of its memory a server's shared buffers may have one in so many: the rest is for sessions and the page cache
)
MEGABYTE = 2**20
PAGE = 8192  # bytes: the unit of shared_buffers where none is written
_SIZE = re.compile(r"\s*(?P<number>0x[0-9A-Fa-f]+|\d+\.?\d*(?:[eE]\+?\d+)?|\.\d+)\s*(?P<unit>B|kB|MB|GB|TB)?\s*")
_UNITS = {None: PAGE, "B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


def memory_of(settings: PartSettings | None, kind: str) -> int:
    """Return how many megabytes a part may take."""
    if settings and settings.memory:
        memory = count_bytes(settings.memory)
    elif isinstance(settings, RedisSettings):
        memory = max(REDIS_LEAST, REDIS_OVERHEAD * count_bytes(settings.maxmemory))
    else:
        memory = count_bytes(MEMORY[kind])
    return memory // MEGABYTE


def faults(settings: StackSettings) -> Iterator[str]:
    """Give a sentence for each server or Redis that is told to use memory which its container does not have."""
    for name, server in settings.servers.items():
        text, memory = settings.parameters_of(name).get("shared_buffers", SHARED_BUFFERS), memory_of(server, "server")
        if (size := count_parameter(text)) and size * SHARE > memory * MEGABYTE:
            yield _sentence(name, "shared_buffers", text, memory)
    for name, redis in settings.redis.items():
        memory = memory_of(redis, "redis")
        if count_bytes(redis.maxmemory) * REDIS_OVERHEAD > memory * MEGABYTE:
            yield _sentence(name, "maxmemory", redis.maxmemory, memory)


def count_parameter(text: str) -> int | None:
    """Return the bytes of a parameter that counts pages where it has no unit; None for what PostgreSQL refuses itself."""
    found = _SIZE.fullmatch(text)
    if not found:
        return None
    number = found["number"]
    octal = number.isdigit() and number.startswith("0")
    count = float(int(number, 8 if octal else 0)) if number.startswith("0x") or octal else float(number)
    return round(count * _UNITS[found["unit"]])


def _sentence(name: str, setting: str, text: str, memory: int) -> str:
    return (
        f"{setting!r} of {name} is {text}, more than half of the {memory} MB that it may take; "
        f"set {memory // SHARE}MB or less, or more 'memory' for {name}"
    )
