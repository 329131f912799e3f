"""A server's pooler, once the operator was told of it: whether it serves, and why it does not."""

from __future__ import annotations

import time
from collections.abc import Collection

from keelson.errors import PlatformError, ServerError
from keelson.kubernetes import cluster, names, pods, troubles, workloads
from keelson.kubernetes.cluster import Cluster, Json

KIND = "poolers"
API = workloads.OPERATORS_API
DONE = "keelson.dev/pooler"  # an annotation of its Service: which Pooler the operator made it from
SHOWN = "keelson.dev/certificate"  # an annotation of a Pooler: the version of the Secret with its certificate, which its operator does not watch
INSTANCES = "keelson.dev/instances"  # an annotation of one that rests: how many pods it had
SECONDS_TO_START = 180.0  # for nodes to get the image, and the operator to make its login
SECONDS_TO_REST = 60.0
POLL = 0.25


def bring(place: str, server: str, digest: str) -> None:
    """Wait until all pods of a pooler serve as its Pooler says, which is known by its digest, and with its server's certificate.

    Raises:
        ServerError: they do not.
    """
    found, name = cluster.connect(place), names.pooler(server)
    certificate = _tell(found, server)
    until = time.monotonic() + SECONDS_TO_START
    while fault := _fault(found, name, digest) or _unread(found, name, certificate):
        if time.monotonic() > until:
            msg = f"{name} does not serve: {fault}"
            raise ServerError(msg)
        time.sleep(POLL)


def rest(found: Cluster, key: str, servers: Collection[str]) -> None:
    """Have the poolers of some servers run no pods, and wait until these are gone; raises PlatformError."""
    resting = [each for each in _of(found, key, servers) if each["spec"]["instances"]]
    for each in resting:
        about = {"annotations": {INSTANCES: str(each["spec"]["instances"])}}
        found.patch(_path(found, each), {"metadata": about, "spec": {"instances": 0}})
    until = time.monotonic() + SECONDS_TO_REST
    for name in (each["metadata"]["name"] for each in resting):
        while found.items(found.at("pods"), f"{names.POOLER_LABEL}={name}", metadata=True):
            if time.monotonic() > until:
                msg = f"the pods of {name} do not end; see `{found.kubectl('get pods')}`"
                raise PlatformError(msg)
            time.sleep(POLL)


def wake(found: Cluster, key: str, servers: Collection[str]) -> None:
    """Have the poolers of some servers run as many pods as before they rested."""
    for each in _of(found, key, servers):
        if before := (each["metadata"].get("annotations") or {}).get(INSTANCES):
            about = {"annotations": {INSTANCES: None}}
            found.patch(_path(found, each), {"metadata": about, "spec": {"instances": int(before)}})


def is_there(place: str, server: str) -> bool:
    """Say whether there is one."""
    found = cluster.connect(place)
    return found.get(found.at(KIND, names.pooler(server), api=API), metadata=True) is not None


def _tell(found: Cluster, server: str) -> str:
    """Tell the operator which version of its certificate a pooler shall show, and return that: by itself it looks every ten hours."""
    secret = found.get(found.at("secrets", names.certificate(server)), metadata=True)
    version = str(secret["metadata"]["resourceVersion"]) if secret else ""
    path = found.at(KIND, names.pooler(server), api=API)
    made = found.get(path, metadata=True)
    if made and version != (made["metadata"].get("annotations") or {}).get(SHOWN):
        found.patch(path, {"metadata": {"annotations": {SHOWN: version}}})
    return version


def _unread(found: Cluster, name: str, version: str) -> str:
    status = (found.get(found.at(KIND, name, api=API)) or {}).get("status") or {}
    shown = (status.get("secrets") or {}).get("clientTLS") or {}
    return "" if shown.get("version") == version else "the operator has not read its certificate"


def _of(found: Cluster, key: str, servers: Collection[str]) -> list[Json]:
    wanted = {names.pooler(server) for server in servers}
    chosen = f"{names.STACK_LABEL}={names.stack_label(key)}"
    every = workloads.listed(found, KIND, found.at(KIND, api=API), chosen) if wanted else ()
    return [each for each in every if each["metadata"]["name"] in wanted]


def _path(found: Cluster, seen: Json) -> str:
    return found.at(KIND, seen["metadata"]["name"], api=API)


def _fault(found: Cluster, name: str, digest: str) -> str:
    """Return what is lacking yet."""
    service = found.get(found.at("services", name), metadata=True) or {"metadata": {}}
    if (service["metadata"].get("annotations") or {}).get(DONE) != digest:
        return f"the operator has not made it ({_told(found, name)}); see `{found.kubectl(f'describe pooler {name}')}`"
    deployment = found.get(found.at("deployments", name, api=workloads.APPS)) or {}
    if _is_rolled_out(deployment):
        return ""
    made = found.items(found.at("pods"), f"{names.POOLER_LABEL}={name}")
    waiting = [pod for pod in made if not pods.is_ready(pod)]
    if not waiting:
        return f"its pods are being made; see `{found.kubectl(f'describe deployment {name}')}`"
    said = troubles.of_pod(found, name, waiting[0]).said
    return f"{said}; see `{found.kubectl('describe pod ' + waiting[0]['metadata']['name'])}`"


def _told(found: Cluster, name: str) -> str:
    """Return what the operator says of a Pooler."""
    status = (found.get(found.at(KIND, name, api=API)) or {}).get("status") or {}
    said = [status.get(each) for each in ("phase", "phaseReason", "error")]
    return ", ".join(troubles.line(each) for each in said if each) or "it says nothing"


def _is_rolled_out(deployment: Json) -> bool:
    status, wanted = deployment.get("status") or {}, (deployment.get("spec") or {}).get("replicas")
    seen = status.get("observedGeneration", 0) >= (deployment.get("metadata") or {}).get("generation", 1)
    counts = {status.get(each, 0) for each in ("replicas", "updatedReplicas", "availableReplicas")}
    return seen and counts == {wanted}
