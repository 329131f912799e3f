"""What a stack file may say elsewhere, and a cluster could not hold to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from keelson.settings import demand, external, instances, limits, monitoring, pooler
from keelson.settings.parts import count_bytes

if TYPE_CHECKING:
    from keelson.settings.database import DatabaseDefinition
    from keelson.settings.parts import RedisSettings
    from keelson.settings.stack import StackSettings

LEAST_MEMORY = 16 * 2**20  # a limit is given in whole MiB, and none would be no limit
LEAST_INSTANCES = 3  # of a Redis that has several
RESERVED = frozenset({"backup", "drill"})  # the pods of jobs are labelled so
_SERVICE = re.compile(
    r"[a-z]([a-z0-9_]{0,38}[a-z0-9])?"
)  # objects are named after it, some with a suffix of Kubernetes' own
_FIXED = re.compile(r".+@sha256:[0-9a-f]{64}|.+:(?!latest$)[^/:]+")


# Of what other targets read in a schedule: Sunday as 7, the last day, the nth weekday.
_NO_CRON_JOB = re.compile(r"#|(?<![A-Z])L|(?<![\d/])7(?!\d)\S*$")


def faults(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> Iterator[str]:
    """Give a sentence for each setting of target kubernetes that cannot be; `databases` are the stack's services."""
    yield from _names(settings)
    yield from _parts(settings)
    yield from _replicas(settings)
    yield from limits.faults(settings)
    yield from pooler.faults(settings)
    yield from _clients(settings, databases)
    yield from _images(settings)
    yield from _schedules(settings, databases)
    yield from external.faults(settings, databases)
    yield from demand.faults(settings, databases)
    yield from instances.faults(settings)
    yield from monitoring.faults(settings, databases)


def _names(settings: StackSettings) -> Iterator[str]:
    for key, parts in (("servers", settings.servers), ("redis", settings.redis)):
        for name in parts:
            if name in RESERVED:
                yield f"the setting 'keelson:{key}.{name}' has the name of another part; choose another name"
            if not _SERVICE.fullmatch(name):
                yield (
                    f"the setting 'keelson:{key}.{name}' cannot be the name of a Service; use at most 40 of a-z, 0-9 and '_', "
                    "with a letter or digit at the end"
                )


def _parts(settings: StackSettings) -> Iterator[str]:
    for name, part in settings.settings_of_parts.items():
        if part.port:
            yield f"'port' of {name} is for a machine's own ports, and a Service always has the usual one; take it out"
        if part.memory and count_bytes(part.memory) < LEAST_MEMORY:
            yield f"'memory' of {name} is too little for any program; write at least {LEAST_MEMORY // 2**20}mb, or take it out"
    if settings.agent.storage:
        yield "'storage' of agent is for a volume, and it has none; take it out"
    if settings.backup.directory:
        yield (
            "the setting 'keelson:backup.directory' is for the targets local and docker; take it out: "
            "backups lie on a volume of 'keelson:kubernetes.backup_storage'"
        )


def _replicas(settings: StackSettings) -> Iterator[str]:
    """Give what a Redis of several instances cannot be: two that part are no majority, and its objects need names of their own."""
    taken = {name.replace("_", "-"): name for name in settings.settings_of_parts}
    for name in settings.redis:
        if (count := settings.instances_of(name)) == 1:
            continue
        if count < LEAST_INSTANCES:
            yield (
                f"'instances' of {name} is {count}, and of two the one that is left is no majority, which alone may choose a master; "
                f"set {LEAST_INSTANCES} or more"
            )
        own = [f"{name.replace('_', '-')}-{suffix}" for suffix in (*range(count), "proxy", "users")]
        if found := [taken[each] for each in own if each in taken]:
            yield f"the part {found[0]} has the name of an object of {name}, which has several instances; choose another name"


def _clients(settings: StackSettings, databases: Collection[str]) -> Iterator[str]:
    for namespace, services in settings.kubernetes.clients.items():
        key = f"the setting 'keelson:kubernetes.clients.{namespace}'"
        if namespace == settings.kubernetes.namespace:
            yield (
                f"the setting 'keelson:kubernetes.clients' names {namespace}, the stack's own namespace, "
                "which is closed to applications; run them in another one"
            )
        for service in services:
            if service not in databases:
                yield f"{key} names {service!r}, but the stack has {', '.join(sorted(databases))}"
            if services.count(service) > 1:
                yield f"{key} names {service!r} twice; take one out"


def _images(settings: StackSettings) -> Iterator[str]:
    for name, image in settings.kubernetes.image.items():
        if not _FIXED.fullmatch(image.reference):
            yield (
                f"the setting 'keelson:kubernetes.image.{name}' names {image.reference}, which may be another image on each node; "
                "name it by a tag of its own, or by digest"
            )


def _schedules(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> Iterator[str]:
    parts: Mapping[str, DatabaseDefinition | RedisSettings] = {**databases, **settings.redis}
    for name, part in parts.items():
        backup = settings.backup.changed(part.backup)
        drill = backup.drill_schedule(settings.environment) if name in databases else ""
        wanted = {"the backup": backup.schedule, **({"the drill": drill} if drill != backup.schedule else {})}
        for what, schedule in wanted.items():
            if _NO_CRON_JOB.search(schedule):
                yield (
                    f"{what} of {name} has the schedule {schedule!r}, which a CronJob does not know; "
                    "write Sunday as 0, and neither 'L' nor '#'"
                )
