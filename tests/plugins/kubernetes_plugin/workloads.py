"""What is waited for of each kind, as the official plugin does it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from plugin.wire import Bag

from .cluster import RefusedError
from .objects import metadata, name_of, namespace_of
from .waiting import NotReadyError, Wait

REVISION = "deployment.kubernetes.io/revision"
FIVE_MINUTES = 300.0


def pod_faults(pod: Bag) -> Iterator[str]:
    """Yield what a pod that is not ready says: its condition, and what its containers wait for or ended with."""
    status = pod.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    if conditions.get("PodScheduled", {}).get("status") != "True":
        return
    for kind in ("Initialized", "Ready"):
        found = conditions.get(kind)
        if not found:
            return
        if found.get("status") == "True" or (kind == "Ready" and status.get("phase") == "Succeeded"):
            continue
        containers = "\n".join(
            each for container in status.get("containerStatuses") or () for each in _container_faults(container)
        )
        if containers or found.get("message"):
            words = found["message"] if found.get("reason") and found.get("message") else ""
            yield f"[Pod {_full_name(pod)}]: {words}{containers}"
        return


def _container_faults(status: Bag) -> Iterator[str]:
    if status.get("ready"):
        return
    state = status.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason") != "ContainerCreating":
        yield f"[{waiting.get('reason', '')}] {waiting.get('message', '')}"
    if ended and ended.get("reason"):
        exit_code = f'container "{status["name"]}" completed with exit code {ended.get("exitCode", 0)}'
        yield f"[{ended['reason']}] {ended['message']}" if ended.get("message") else exit_code
    if before := (status.get("lastState") or {}).get("terminated"):
        how = f"{before.get('reason', '')}: exit code {before.get('exitCode', 0)}"
        yield f'container "{status["name"]}" terminated at {before.get("finishedAt")} ({how})'
        if before.get("message"):
            yield str(before["message"])


def _full_name(found: Bag) -> str:
    namespace = namespace_of(found)
    return f"{namespace}/{name_of(found)}" if namespace not in {"", "default"} else name_of(found)


def _is_owned_by(found: Bag, owner: Bag | None) -> bool:
    uid = metadata(owner or {}).get("uid")
    return any(each.get("uid") == uid for each in metadata(found).get("ownerReferences") or ())


class PodWait(Wait):
    """A pod is scheduled, initialized and ready, or has succeeded."""

    def fits(self) -> bool:
        """Tell whether it is."""
        conditions = {each["type"]: each.get("status") for each in self.at("status", "conditions") or ()}
        for kind, words in (("PodScheduled", "scheduled"), ("Initialized", "initialized"), ("Ready", "ready")):
            succeeded = kind == "Ready" and self.at("status", "phase") == "Succeeded"
            if conditions.get(kind) != "True" and not succeeded:
                self.say(f'Waiting for Pod "{_full_name(self.live)}" to be {words}')
                return False
        return True

    def reasons(self) -> list[str]:
        """Return the pod's own words."""
        return list(pod_faults(self.live))


class StatefulSetWait(Wait):
    """All replicas are ready, of the newest revision."""

    @property
    def wanted(self) -> int:
        """How many replicas there shall be."""
        return int(self.at("spec", "replicas") or 0)

    def _count(self, name: str) -> int:
        return int(self.at("status", name) or 0)

    def fits(self) -> bool:
        """Tell whether the rollout is over."""
        generation = self.at("metadata", "generation") or 0
        if (self.at("status", "observedGeneration") or 0) < generation:
            return False
        ready = self.wanted == self._count("replicas") == self._count("readyReplicas")
        on_delete = generation > 1 and self.at("spec", "updateStrategy", "type") == "OnDelete"
        if not on_delete:
            ready = ready and self.wanted == self._count("currentReplicas")
        if not ready or not (on_delete or self._is_newest()):
            self.say(f"[1/2] Waiting for StatefulSet to create Pods ({self._ready()}/{self.wanted} Pods ready)")
            return False
        return True

    def _is_newest(self) -> bool:
        current = self.at("status", "currentRevision")
        return bool(current) and current == self.at("status", "updateRevision")

    def _ready(self) -> int:
        ready = self._count("readyReplicas")
        return ready if self._is_newest() else min(ready, self._count("updatedReplicas"))

    def reasons(self) -> list[str]:
        """Return how many are ready, and what the others say."""
        made = []
        if self.wanted != self._count("readyReplicas") or self.wanted != self._count("replicas"):
            made.append(f"{self._ready()} out of {self.wanted} replicas succeeded readiness checks")
        if not self._is_newest():
            current, newest = (self.at("status", each) or "" for each in ("currentRevision", "updateRevision"))
            made.append(f'StatefulSet controller failed to advance from revision "{current}" to revision "{newest}"')
        pods = [each for each in self.neighbours("v1", "Pod") if _is_owned_by(each, self.live)]
        return made + [words for pod in pods for words in pod_faults(pod)]


class DeploymentWait(Wait):
    """The newest ReplicaSet has its replicas, and the Deployment is available."""

    replica_set: Bag | None = None

    def _condition(self, kind: str) -> Bag:
        found: list[Bag] = self.at("status", "conditions") or []
        return next((each for each in found if each["type"] == kind), {})

    @property
    def _revision(self) -> str:
        return str((metadata(self.live).get("annotations") or {}).get(REVISION, ""))

    def _available(self) -> bool:
        return self._condition("Available").get("status") == "True"

    def _rolled_out(self) -> bool:
        progressing = self._condition("Progressing")
        ended = progressing.get("status") == "True" and progressing.get("reason") == "NewReplicaSetAvailable"
        return ended or self._revision == "1"

    def fits(self) -> bool:
        """Tell whether the rollout is over."""
        if self.at("status", "observedGeneration") != self.at("metadata", "generation"):
            return False
        sets = [each for each in self.neighbours("apps/v1", "ReplicaSet") if _is_owned_by(each, self.created)]
        annotations = [(metadata(each).get("annotations") or {}, each) for each in sets]
        self.replica_set = next((each for found, each in annotations if found.get(REVISION) == self._revision), None)
        return self._has_replicas() and self._available() and self._rolled_out() and not self._unbound()

    def _has_replicas(self) -> bool:
        if not self.replica_set:
            return False
        wanted = (self.replica_set.get("spec") or {}).get("replicas", 1)
        ready = (self.replica_set.get("status") or {}).get("readyReplicas", 0)
        self.say(f"Waiting for app ReplicaSet to be available ({ready}/{wanted} Pods available)")
        return bool(ready >= wanted)

    def _unbound(self) -> list[str]:
        volumes = self.at("spec", "template", "spec", "volumes") or ()
        named = {each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each}
        if not named:
            return []
        claims = [each for each in self.neighbours("v1", "PersistentVolumeClaim") if name_of(each) in named]
        return [name_of(each) for each in claims if (each.get("status") or {}).get("phase") != "Bound"]

    def reasons(self) -> list[str]:
        """Return what the Deployment's conditions and its pods say."""
        found = [self._condition("Progressing"), self._condition("Available")]
        made = [f"[{each['reason']}] {each['message']}" for each in found if each.get("status") == "False"]
        if unbound := self._unbound():
            made.append(f'Failed to bind PersistentVolumeClaim(s): "{",".join(unbound)}"')
        made += self._what_lacks()
        pods = [each for each in self.neighbours("v1", "Pod") if _is_owned_by(each, self.replica_set)]
        return made + [words for pod in pods for words in pod_faults(pod)]

    def _what_lacks(self) -> list[str]:
        if not self._available():
            return ["Minimum number of live Pods was not attained"]
        if self._has_replicas() and self._rolled_out():
            return []
        if self._revision == "1" or not self._rolled_out():
            return ["Minimum number of Pods to consider the application live was not attained"]
        return ["Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not become live"]


class JobWait(Wait):
    """A Job has completed."""

    def _pod_faults(self) -> list[str]:
        pods = [each for each in self.neighbours("v1", "Pod") if _is_owned_by(each, self.live)]
        return [words for pod in pods for words in pod_faults(pod)]

    def fits(self) -> bool:
        """Tell whether it has; a Job that failed for good ends the wait."""
        status = self.at("status") or {}
        conditions = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
        failed = conditions.get("Failed", {})
        if failed.get("reason") in {"BackoffLimitExceeded", "DeadlineExceeded"}:
            words = f"[{failed['reason']}] {failed.get('message', '')}"
            sentence = f"Resource '{self.name}' was created but failed to initialize"
            raise NotReadyError(sentence, self.live, [words, *self._pod_faults()])
        counts = " | ".join(f"{each}: {status.get(each.lower(), 0)}" for each in ("Active", "Succeeded", "Failed"))
        self.say(f'Waiting for Job "{_full_name(self.live)}" to succeed ({counts})')
        return bool(status.get("startTime")) and "Complete" in conditions

    def reasons(self) -> list[str]:
        """Return what its pods say."""
        return self._pod_faults()


class EndpointsWait(Wait):
    """What needs endpoints: they count when there was no news of them for some seconds."""

    _seen: Any = None
    _since = 0.0

    def is_settled(self, endpoints: list[Bag]) -> bool:
        """Tell whether these endpoints have been the same for long enough; none are never settled."""
        versions = sorted((name_of(each), metadata(each).get("resourceVersion")) for each in endpoints)
        if versions != self._seen:
            self._seen, self._since = versions, time.monotonic()
        return bool(versions) and time.monotonic() - self._since >= self.session.settled


class ServiceWait(EndpointsWait):
    """A Service has pods that are ready, and an address outside where it is of type LoadBalancer."""

    endpoints: Bag | None = None
    served = False

    def _is_ready(self) -> bool:
        outside = self.at("spec", "type") == "LoadBalancer"
        return not outside or bool(self.at("status", "loadBalancer", "ingress"))

    def _needs_pods(self) -> bool:
        named = self.at("spec", "type") == "ExternalName" or self.at("spec", "clusterIP") == "None"
        return not named and bool(self.at("spec", "selector"))

    def _has(self, kind: str) -> bool:
        return any(each.get(kind) for each in (self.endpoints or {}).get("subsets") or ())

    def fits(self) -> bool:
        """Tell whether it can be used."""
        if not self._needs_pods():
            return self._is_ready()
        self.say("[1/3] Finding Pods to direct traffic to")
        self.endpoints = self._its_endpoints()
        settled = self.is_settled([self.endpoints] if self.endpoints else [])
        return self._is_ready() and settled and not self._has("notReadyAddresses")

    def good_enough(self) -> bool:
        """Tell whether it may pass without endpoints."""
        return self._is_ready() and not self._has("notReadyAddresses")

    def _its_endpoints(self) -> Bag | None:
        thing = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata(self.created)}
        try:
            return self.session.cluster.get(thing)
        except RefusedError as fault:
            if fault.code != 404:
                raise
            return None

    def reasons(self) -> list[str]:
        """Return what it lacks."""
        if not self._needs_pods() and self._is_ready():
            return []
        made = []
        if not self._has("addresses"):
            pods = "Selected Pods may not be ready, or field '.spec.selector' may not match labels on any Pods"
            made.append(f"Service does not target any Pods. {pods}")
        if not self._is_ready():
            made.append("Service was not allocated an IP address; does your cloud provider support this?")
        return made


class IngressWait(EndpointsWait):
    """An Ingress has an address, and its Services have endpoints or had a minute to get some."""

    def _missing(self) -> bool:
        rules = self.at("spec", "rules") or ()
        paths = [path for rule in rules for path in (rule.get("http") or {}).get("paths") or ()]
        wanted = {path["backend"]["service"]["name"] for path in paths if "service" in path["backend"]}
        services = self.neighbours("v1", "Service")
        outside = {name_of(each) for each in services if each["spec"].get("type") == "ExternalName"}
        endpoints = self.neighbours("v1", "Endpoints")
        return bool(wanted - outside - {name_of(each) for each in endpoints}) and not self.is_settled(endpoints)

    def fits(self) -> bool:
        """Tell whether it can be used."""
        has_address = bool(self.at("status", "loadBalancer", "ingress"))
        if not has_address:
            self.say("[2/3] Waiting for update of .status.loadBalancer with hostname/IP")
        return has_address and not self._missing()

    def good_enough(self) -> bool:
        """Tell whether it may pass without endpoints."""
        return bool(self.at("status", "loadBalancer", "ingress"))

    def reasons(self) -> list[str]:
        """Return what it lacks."""
        made = ["Ingress has at least one rule with an unavailable target endpoint."] if self._missing() else []
        if not self.at("status", "loadBalancer", "ingress"):
            made.append("Ingress .status.loadBalancer field was not updated with a hostname/IP address.")
        return made


class PolledWait(Wait):
    """Kinds that are only polled: their time is fixed."""

    fixed = True
    limit = FIVE_MINUTES
    timed_out = "Timeout occurred polling for '{name}'"

    def as_read(self) -> Bag:
        """Return what is there: reading such a kind waits for nothing."""
        self.look()
        return self.live


class VolumeWait(PolledWait):
    """A PersistentVolume is available or bound."""

    def fits(self) -> bool:
        """Tell whether it is."""
        return self.at("status", "phase") in {"Available", "Bound"}


class ClaimWait(PolledWait):
    """A claim is bound, or pending where its class binds when the first pod comes."""

    def fits(self) -> bool:
        """Tell whether it is."""
        phase = self.at("status", "phase")
        if self.last is not None and phase == "Bound":
            return True
        return bool(phase == ("Pending" if self._binds_late() else "Bound"))

    def _binds_late(self) -> bool:
        name = self.at("spec", "storageClassName")
        if not name:
            self.say(f'no storage class found for "{self.name}"')
            return False
        thing = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
        try:
            return self.session.cluster.get(thing).get("volumeBindingMode") == "WaitForFirstConsumer"
        except RefusedError as fault:
            self.say(f'getting storagclass "{name}": {fault}')
            return False


class QuotaWait(PolledWait):
    """A ResourceQuota is in force."""

    limit = 60.0

    def fits(self) -> bool:
        """Tell whether it is."""
        return bool(self.at("spec", "hard") == self.at("status", "hard"))


class SecretWait(PolledWait):
    """A ServiceAccount's token is in its Secret; other Secrets are complete."""

    limit = 5.0

    def fits(self) -> bool:
        """Tell whether it is."""
        return self.at("type") != "kubernetes.io/service-account-token" or bool(self.at("data"))


WAITS: dict[tuple[str, str], type[Wait]] = {
    ("apps/v1", "Deployment"): DeploymentWait,
    ("apps/v1", "StatefulSet"): StatefulSetWait,
    ("batch/v1", "Job"): JobWait,
    ("networking.k8s.io/v1", "Ingress"): IngressWait,
    ("v1", "PersistentVolume"): VolumeWait,
    ("v1", "PersistentVolumeClaim"): ClaimWait,
    ("v1", "Pod"): PodWait,
    ("v1", "ResourceQuota"): QuotaWait,
    ("v1", "Secret"): SecretWait,
    ("v1", "Service"): ServiceWait,
}
