"""What a stack asks of a cluster, and whether the quota that it is given leaves room for that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keelson.settings.limits import BESIDE_ARCHIVED, BESIDE_REDIS, CPUS, PROXIES, memory_of
from keelson.settings.monitoring import EXPORTERS
from keelson.settings.parts import count_bytes
from keelson.settings.point_in_time import is_archived
from keelson.settings.quantities import count_quantity

if TYPE_CHECKING:
    from keelson.settings.database import DatabaseDefinition
    from keelson.settings.stack import StackSettings

GIGABYTE = 2**30
MEGABYTE = 2**20
WITHOUT_VOLUME = frozenset({"agent", *EXPORTERS.values()})
LESS = {
    "cpus": "parts less (`cpus`)",
    "memory": "parts less (`memory`)",
    "storage": "volumes less (`storage`, `backup_storage`)",
    "pods": "the stack fewer instances or parts",
}


@dataclass(frozen=True)
class Pods:
    """Pods that are alike, and what each asks for."""

    count: int
    cpus: float
    memory: int  # bytes


def pods(settings: StackSettings, jobs: Collection[str]) -> Iterator[Pods]:
    """Give all that may be there at once.

    With every backup and drill, as those that could not begin in time may begin together. A rolling update adds nothing: each workload ends a
    pod before it makes the next. Of a server with several instances one may be copied meanwhile, by a pod of its own.
    """
    for name, kind in settings.parts.items():
        part, count = settings.settings_of_parts.get(name), _instances(settings, name)
        if name in settings.servers and count > 1:
            count += 1
        cpus, memory = _beside_instances(settings, name)
        yield Pods(count, cpus + (part.cpus if part and part.cpus else CPUS), memory + memory_of(part, kind) * MEGABYTE)
        if kind == "redis" and count > 1:
            yield from _beside_redis(count)
    for pooler in filter(None, (server.pooler for server in settings.servers.values())):
        yield Pods(pooler.instances, CPUS, pooler.memory * MEGABYTE)
    yield Pods(1, CPUS, memory_of(None, "toolbox") * MEGABYTE)
    yield Pods(len(jobs), CPUS, memory_of(None, "agent") * MEGABYTE)


def _beside_instances(settings: StackSettings, name: str) -> tuple[float, int]:
    """Return the processors and bytes of what archives an instance from its own pod; nothing where it keeps no archive."""
    if name not in settings.servers or _instances(settings, name) == 1 or not is_archived(settings, name):
        return 0.0, 0
    return CPUS, count_quantity(BESIDE_ARCHIVED)


def _beside_redis(count: int) -> Iterator[Pods]:
    """Give what a Redis of so many instances has beside them: a sentinel in the pod of each, and proxies."""
    memory = {name: count_bytes(text) for name, text in BESIDE_REDIS.items()}
    yield Pods(PROXIES, CPUS + count * CPUS / PROXIES, memory["proxy"] + count * memory["sentinel"] // PROXIES)


def asked(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> dict[str, float]:
    """Return how much of each resource a stack with these databases asks for, in processors, bytes, and pods."""
    every = list(pods(settings, [*databases, *settings.redis, *_drilled(settings, databases)]))
    return {
        "cpus": round(sum(each.count * each.cpus for each in every), 3),
        "memory": sum(each.count * each.memory for each in every),
        "storage": sum(_volumes(settings)),
        "pods": sum(each.count for each in every),
    }


def faults(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> Iterator[str]:
    """Give a sentence for each resource of which the stack asks for more than its quota allows."""
    quota = settings.kubernetes.quota
    for resource, wanted in asked(settings, databases).items():
        given = getattr(quota, resource)
        if given is not None and wanted > (allowed := count_quantity(given) if isinstance(given, str) else given):
            among = "" if resource == "storage" else ", with all backups and drills at once,"
            yield (
                f"the stack asks for {_shown(resource, wanted)}{among} and the setting 'keelson:kubernetes.quota.{resource}' "
                f"allows {_shown(resource, allowed)}; raise it, or give {LESS[resource]}"
            )


def _drilled(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> list[str]:
    """Return the databases whose backups are drilled on a schedule."""
    changed = {name: settings.backup.changed(each.backup) for name, each in databases.items()}
    return [name for name, backup in changed.items() if backup.drill_schedule(settings.environment)]


def _volumes(settings: StackSettings) -> Iterator[int]:
    yield count_quantity(settings.kubernetes.backup_storage)
    for name, kind in settings.parts.items():
        if kind not in WITHOUT_VOLUME:
            size = settings.settings_of_parts[name].storage or settings.kubernetes.storage
            yield count_quantity(size) * _instances(settings, name)
    for name in settings.servers:
        if (count := settings.instances_of(name)) > 1:
            yield settings.wal_bytes_of(name) * count


def _instances(settings: StackSettings, name: str) -> int:
    return settings.instances_of(name) if name in settings.servers or name in settings.redis else 1


def _shown(resource: str, amount: float) -> str:
    if resource in {"memory", "storage"}:
        return f"{round(amount / GIGABYTE, 2):g}Gi of {resource}"
    return f"{round(amount, 2):g} {resource}"
