"""Which pod is meant by a selector now, and why there is none that is ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from keelson.errors import UnreachableError
from keelson.kubernetes.cluster import Cluster, Json


def ready(cluster: Cluster, labels: str, name: str) -> Json:
    """Return the newest pod that is ready; raises UnreachableError with the reason where there is none, of what `name` says."""
    found = cluster.items(cluster.at("pods"), labels)
    good = [pod for pod in found if is_ready(pod)]
    if good:
        return max(good, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    msg = f"{name} has no pod that is ready in namespace {cluster.namespace} of the cluster {cluster.name}: {why(cluster, found)}"
    raise UnreachableError(msg)


def is_ready(pod: Json) -> bool:
    """Say whether a pod serves, and is not about to end."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return any(each["type"] == "Ready" and each["status"] == "True" for each in _conditions(pod))


def image(pod: Json) -> str:
    """Return the image of a pod's first container, as it was asked for."""
    return str(pod["spec"]["containers"][0]["image"])


def why(cluster: Cluster, found: Sequence[Json]) -> str:
    """Return why none of these pods is ready, with the next step."""
    if not found:
        return "there is none; run `keelson start`"
    pod = max(found, key=lambda each: str(each["metadata"]["creationTimestamp"]))
    name = pod["metadata"]["name"]
    look = cluster.kubectl(f"describe pod {name}")
    return f"{name} {', '.join(_told(pod)) or 'is not ready'}; see `{look}`"


def _told(pod: Json) -> Iterator[str]:
    """Give what keeps a pod from being ready, in a few words each."""
    if pod["metadata"].get("deletionTimestamp"):
        yield "ends"
    for each in _conditions(pod):
        if each["type"] == "PodScheduled" and each["status"] != "True":
            yield f"has no node ({_line(each.get('message'))})"
    status = pod.get("status") or {}
    if status.get("phase") in {"Failed", "Succeeded"}:
        yield f"has ended ({_line(status.get('reason') or status['phase'])})"
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        yield from _of_container(each)


def _of_container(status: Mapping[str, Json]) -> Iterator[str]:
    waiting = (status.get("state") or {}).get("waiting")
    ended = (status.get("lastState") or {}).get("terminated")
    if waiting:
        yield " ".join(f"waits: {waiting.get('reason', '')} {_line(waiting.get('message'))}".split())
    if ended and not status.get("ready"):
        yield f"ended before with {ended.get('reason', 'an error')} (status {ended.get('exitCode')})"


def _conditions(pod: Json) -> list[Json]:
    return (pod.get("status") or {}).get("conditions") or []


def _line(text: object) -> str:
    return " ".join(str(text or "").split())
