"""What of a stack is missing in its namespace. Then an update must look first: what the engine remembers is not there any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from keelson.errors import UnreachableError
from keelson.inside.looks import instances_of
from keelson.kubernetes import cluster, external, names, replicas, state, workloads
from keelson.kubernetes.cluster import Cluster
from keelson.settings.monitoring import EXPORTERS

KINDS = {
    **workloads.WORKLOADS,
    "poolers": workloads.OPERATORS_API,
    "cronjobs": "batch/v1",
    "services": "v1",
    "secrets": "v1",
    "persistentvolumeclaims": "v1",
}
WORKLOAD = "workload"  # a StatefulSet, a Deployment or a Cluster
WITHOUT_FILES = frozenset({"agent"})
WITHOUT_DATA = WITHOUT_FILES | {*EXPORTERS.values()}
_STAYING = frozenset({("persistentvolumeclaims", names.BACKUPS)})
_JOBS = "jobs/"  # of the state's files

Thing = tuple[str, str]  # a kind, and an object's name


def is_harmed(place: str, key: str) -> bool:
    """Say whether an object was taken away of which the stack's registry, or its jobs, know, or a password from outside is another by now.

    Raises:
        PlatformError: the cluster does not answer.
        OwnershipError: the namespace is another stack's.
    """
    found = cluster.connect(place)
    there = _there(found, key)
    if not there - _STAYING:
        return False  # it was never up, or is destroyed
    try:
        return not ({*_wanted(place, key)} <= there and external.is_taken(place, key))
    except UnreachableError:  # the state itself
        return True


def _there(found: Cluster, key: str) -> set[Thing]:
    """Return what is there of the stack; a CronJob by the job that it does."""
    chosen = f"{names.STACK_LABEL}={names.stack_label(key)}"

    def look(kind: str) -> Iterator[Thing]:
        for each in workloads.listed(found, kind, found.at(kind, api=KINDS[kind]), chosen, metadata=True):
            about = each["metadata"]
            if kind == "cronjobs":
                yield kind, str(about["labels"].get(names.JOB_LABEL, ""))
            elif not about.get("deletionTimestamp"):
                yield (WORKLOAD if kind in workloads.WORKLOADS else kind), str(about["name"])

    with ThreadPoolExecutor(len(KINDS)) as pool:
        return {thing for things in pool.map(lambda kind: list(look(kind)), KINDS) for thing in things}


def _wanted(place: str, key: str) -> Iterable[Thing]:
    records = state.ask(place, key, "records")
    records["servers"] = {name: each for name, each in records["servers"].items() if not each.get("origin")}
    kinds = {**dict.fromkeys(records["servers"], "server"), **{n: r["kind"] for n, r in records["daemons"].items()}}
    if kinds:
        yield from ((WORKLOAD, names.TOOLBOX), ("persistentvolumeclaims", names.BACKUPS))
    several = {name for name, record in records["servers"].items() if record["readonly_host"]}
    for part in several:
        yield from _of_instances(part, records["servers"][part])
    for part, kind in kinds.items():
        if part in several:
            continue
        yield from ((WORKLOAD, names.of(part)), ("services", names.of(part)))
        if (count := instances_of(records["daemons"].get(part, {}))) > 1:
            yield from ((WORKLOAD, names.of(member)) for member in replicas.helpers(part, count))
            yield from (("services", each.host) for each in replicas.instances(part, count))
            yield from (("persistentvolumeclaims", names.data(each.part)) for each in replicas.instances(part, count))
        if kind not in WITHOUT_FILES:
            yield "secrets", names.config(part)
        if kind not in WITHOUT_DATA:
            yield "persistentvolumeclaims", names.data(part)
    for path in state.read(place, key).files:
        if path.startswith(_JOBS):
            yield "cronjobs", path.removeprefix(_JOBS).removesuffix(".json")


def _of_instances(part: str, record: Mapping[str, str]) -> Iterable[Thing]:
    """Return what a server of several instances consists of, with its pooler where it has one."""
    yield from ((WORKLOAD, names.of(part)), ("services", names.writable(part)), ("services", names.replicas(part)))
    yield from (("secrets", names.superuser(part)), ("secrets", names.certificate(part)))
    if host := record["pooler_host"]:
        yield from (("poolers", host), ("services", host))
