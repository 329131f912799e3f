"""The workloads of a stack with their pods, as they are now: one list of each for all parts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from keelson.kubernetes import ground, names, pods
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ForbiddenError, MissingError
from keelson.settings.limits import PROXIES

TRIED = "keelson.dev/tried"  # an annotation
REVISION = "controller-revision-hash"  # a label of a StatefulSet's pods
APPS, OPERATORS_API = "apps/v1", "postgresql.cnpg.io/v1"
WORKLOADS = {"statefulsets": APPS, "deployments": APPS, "clusters": OPERATORS_API}
OPERATORS = frozenset({"clusters", "poolers"})  # kinds of which a cluster without the operator knows nothing
HIBERNATION = "cnpg.io/hibernation"  # an annotation of a Cluster: whether it has no pods


@dataclass(frozen=True)
class Seen:
    """A part.

    Attributes:
        part: its name.
        path: of its workload; empty where it has none.
        replicas: how many pods it shall have.
        revision: which template its StatefulSet's pods shall be made of.
        refusal: why a Deployment's pods cannot be made, as it says itself; a StatefulSet tells that in events.
        deletion: that its workload was deleted, and what it waits for; nothing where it was not.
        pods: the one that takes writes first, then the newest first.
        members: the parts that stand beside its own pod, such as further instances and proxies.
        instances: how many an operator keeps of it, where one does.
        told: what that operator says of it.
    """

    part: str
    path: str = ""
    replicas: int = 1
    revision: str = ""
    refusal: str = ""
    deletion: str = ""
    pods: tuple[Json, ...] = ()
    instances: int = 0
    told: str = ""
    members: tuple[Seen, ...] = ()

    @property
    def all(self) -> tuple[Seen, ...]:
        """Itself, as far as its own pod is concerned, and its members."""
        own = [pod for pod in self.pods if _part(pod) == self.part]
        return (replace(self, pods=tuple(own), members=()), *self.members)

    @property
    def stopped(self) -> bool:
        """Whether it shall have no pod."""
        return bool(self.path) and not any(each.replicas for each in (self, *self.members))

    @property
    def ends(self) -> bool:
        """Whether it is on its way out: its workload was deleted, or is gone and its pods end or are about to."""
        return bool(self.deletion) or (not self.path and all(map(_is_left, self.pods)))

    @property
    def ready(self) -> bool:
        """Whether one of its pods serves; where it has several kinds of pods, one of each; of several instances the one that takes writes."""
        if self.instances:
            return any(pods.is_ready(pod) for pod in self.pods if _leads(pod))
        ready = [(each.of_kind, any(pods.is_ready(pod) for pod in each.pods)) for each in self.all]
        return {kind for kind, _ in ready} == {kind for kind, serves in ready if serves}

    @property
    def of_kind(self) -> str:
        """Which kind of workload it is."""
        return next((kind for kind in WORKLOADS if f"/{kind}/" in self.path), "")

    @property
    def missing(self) -> int:
        """How many of its instances are not ready."""
        return max(0, self.instances - sum(pods.is_ready(pod) for pod in self.pods if not is_of_job(pod)))

    @property
    def outdated(self) -> bool:
        """Whether its pod is made of another template than it should be by now."""
        made_of = str((self.pod or {"metadata": {}})["metadata"].get("labels", {}).get(REVISION, ""))
        return bool(self.revision and made_of) and made_of != self.revision

    @property
    def pod(self) -> Json | None:
        """The newest pod, one that is not about to end before others."""
        living = (pod for pod in self.pods if not pod["metadata"].get("deletionTimestamp"))
        return next(living, next(iter(self.pods), None))


def look(cluster: Cluster, key: str, part: str = "") -> Mapping[str, Seen]:
    """Return a stack's parts by name, or one alone, the toolbox too; those that neither have a workload nor a pod are missing."""
    chosen = ",".join(f"{label}={value}" for label, value in names.labels(key).items())
    kinds = {kind: cluster.at(kind, api=api) for kind, api in {**WORKLOADS, "pods": "v1"}.items()}
    with ThreadPoolExecutor(len(kinds)) as pool:
        found = dict(zip(kinds, pool.map(lambda kind: listed(cluster, kind, kinds[kind], chosen), kinds), strict=True))
    living: dict[str, list[Json]] = {}
    for pod in sorted(found["pods"], key=precedence, reverse=True):
        if not is_of_job(pod) or names.CLUSTER_LABEL in pod["metadata"]["labels"]:
            living.setdefault(_part(pod), []).append(pod)
    made = {_part(each): _seen(cluster, kind, each) for kind in WORKLOADS for each in found[kind]}
    parts = [name for name in dict.fromkeys([*made, *living]) if name]
    seen = {name: replace(made.get(name, Seen(name)), pods=_running(living.get(name, []))) for name in parts}
    owners = {_part(each): _owner(each) for kind in found for each in found[kind]}
    joined = _joined(seen, owners)
    return joined if not part else {name: each for name, each in joined.items() if name == part}


def _joined(seen: Mapping[str, Seen], owners: Mapping[str, str]) -> dict[str, Seen]:
    """Return the parts, each with those that belong to it; `owners` says of a part to which one it belongs."""
    joined = {name: each for name, each in seen.items() if owners.get(name, "") not in seen}
    for name, each in joined.items():
        beside = (seen[other] for other, owner in sorted(owners.items()) if owner == name and other in seen)
        members = tuple(member for member in beside if not member.ends)  # one that has left may end for a while
        more = tuple(pod for member in members for pod in member.pods)
        joined[name] = replace(each, members=members, pods=each.pods + more)
    return joined


def listed(cluster: Cluster, kind: str, path: str, labels: str, *, metadata: bool = False) -> list[Json]:
    """Return the objects of a kind; none of an operator's kind where there is no operator, or which somebody may not see."""
    try:
        return cluster.items(path, labels, metadata=metadata)
    except (MissingError, ForbiddenError):
        if kind not in OPERATORS:
            raise
        return []


def scale(cluster: Cluster, seen: Seen, replicas: int) -> None:
    """Have a part's workload run so many pods, and its members as many as they have."""
    for each in seen.members:
        scale(cluster, each, replicas * (PROXIES if each.of_kind == "deployments" else 1))
    if seen.instances:
        if seen.stopped != (replicas == 0):
            cluster.patch(seen.path, {"metadata": {"annotations": {HIBERNATION: "off" if replicas else "on"}}})
    elif seen.path and seen.replicas != replicas:
        cluster.patch(f"{seen.path}/scale", {"spec": {"replicas": replicas}})


def told(thing: Json) -> str:
    """Return what an operator says of its object: the phase, and the reason for it."""
    status = thing.get("status") or {}
    return ": ".join(filter(None, (status.get("phase"), status.get("phaseReason"))))


def precedence(pod: Json) -> tuple[bool, bool, str]:
    """Return what orders pods of a part: one that is no job's, that takes writes, that is the newest."""
    return (not is_of_job(pod), _leads(pod), str(pod["metadata"]["creationTimestamp"]))


def hurry(cluster: Cluster, seen: Seen) -> None:
    """Have a workload's controller try again at once: one that was refused pods waits longer each time, up to a quarter of an hour."""
    touched = {"metadata": {"annotations": {TRIED: str(time.time())}}}
    paths = [seen.path]
    if cluster.at("deployments", api=APPS) in seen.path:  # its ReplicaSets make the pods
        kind = cluster.at("replicasets", api=APPS)
        found = cluster.items(kind, f"{names.PART_LABEL}={seen.part}", metadata=True)
        paths = [f"{kind}/{each['metadata']['name']}" for each in found]
    for path in filter(None, paths):
        cluster.patch(path, touched)


def is_of_job(pod: Json) -> bool:
    """Say whether a pod does something once, and ends."""
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences") or ())


def _is_left(pod: Json) -> bool:
    """Say whether a pod whose workload is gone ends: that of a StatefulSet does soon, others may be an operator's."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return bool(pod["metadata"].get("deletionTimestamp")) or any(each["kind"] == "StatefulSet" for each in owners)


def _refusal(workload: Json) -> str:
    conditions = (workload.get("status") or {}).get("conditions") or ()
    found = (each["message"] for each in conditions if each["type"] == "ReplicaFailure" and each["status"] == "True")
    return str(next(found, ""))


def _deletion(workload: Json) -> str:
    if not workload["metadata"].get("deletionTimestamp"):
        return ""
    return f"was deleted, and {ground.holding(workload) or 'waits for its pods'}"


def _seen(cluster: Cluster, kind: str, thing: Json) -> Seen:
    """Return what a workload says of its part."""
    about, status = thing["metadata"], thing.get("status") or {}
    path = cluster.at(kind, about["name"], api=WORKLOADS[kind])
    if kind != "clusters":
        revision = str(status.get("updateRevision", ""))
        return Seen(
            _part(thing), path, int(thing["spec"].get("replicas", 1)), revision, _refusal(thing), _deletion(thing)
        )
    instances = int(thing["spec"]["instances"])
    rests = (about.get("annotations") or {}).get(HIBERNATION) == "on"
    return Seen(
        _part(thing), path, 0 if rests else instances, deletion=_deletion(thing), instances=instances, told=told(thing)
    )


def _running(found: list[Json]) -> tuple[Json, ...]:
    """Return the pods of a part that count: those of a job only while there are no others."""
    lasting = tuple(pod for pod in found if not is_of_job(pod))
    return lasting or tuple(pod for pod in found if (pod.get("status") or {}).get("phase") != "Succeeded")


def _leads(pod: Json) -> bool:
    return (pod["metadata"].get("labels") or {}).get(names.ROLE_LABEL) == names.PRIMARY


def _part(thing: Json) -> str:
    return str((thing["metadata"].get("labels") or {}).get(names.PART_LABEL, ""))


def _owner(thing: Json) -> str:
    return str((thing["metadata"].get("labels") or {}).get(names.MEMBER_LABEL, ""))
