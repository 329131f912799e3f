"""Why a part of a stack has no pod that serves, as the cluster tells it, with what to do about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from keelson.kubernetes import logs
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ApiError
from keelson.kubernetes.workloads import Seen

PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
UNMADE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
ENDING = frozenset({"CrashLoopBackOff"})
OUT_OF_MEMORY = "OOMKilled"
WANTS_MEMORY = "it was killed for want of memory"
MORE_MEMORY = "give it more (`memory` in the settings)"
SCHEDULED = "PodScheduled"


@dataclass(frozen=True)
class Trouble:
    """What keeps a part from serving.

    Attributes:
        said: in a few words.
        step: what to do next.
        lasts: whether it does not pass by itself.
        runs: whether it has a process, or had one a moment ago.
    """

    said: str
    step: str
    lasts: bool = False
    runs: bool = False

    def __str__(self) -> str:
        """Return it as a sentence."""
        return f"{self.said}; {self.step}"


def find(cluster: Cluster, part: str, seen: Seen | None) -> Trouble | None:
    """Return what keeps a part from serving; None where one of its pods is ready."""
    if seen is None:
        return Trouble("it is missing in the cluster", "run `keelson up -- --refresh`", lasts=True)
    if seen.ready:
        return None
    if seen.stopped:
        said = "it is being stopped" if seen.pods else "it is stopped"
        return Trouble(said, f"run `keelson start {part}`", lasts=True)
    if seen.pod is None:
        name = seen.path.rpartition("/")[2]
        said = ", ".join(["it has no pod", *warnings(cluster, name)])
        return Trouble(said, f"see `{cluster.kubectl(f'get events --field-selector involvedObject.name={name}')}`")
    return of_pod(cluster, part, seen.pod)


def renew(cluster: Cluster, seen: Seen) -> None:
    """Delete a pod that cannot run where another one shall be made in its place: a StatefulSet would wait for it for ever.

    One that only has not got ready yet, for example as its server reads its log, is left alone.
    """
    found = find(cluster, seen.part, seen)
    if seen.outdated and seen.pod and found and found.lasts:
        cluster.delete(cluster.at("pods", seen.pod["metadata"]["name"]))


def of_pod(cluster: Cluster, part: str, pod: Json) -> Trouble:
    """Return what keeps a pod from being ready."""
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    look = f"see `{cluster.kubectl(f'describe pod {name}')}`"
    for condition in status.get("conditions") or ():
        if condition["type"] == SCHEDULED and condition["status"] != "True":
            said = f"no node takes its pod ({line(condition.get('message') or condition.get('reason'))})"
            return Trouble(said, f"give it less (`memory`, `cpus`), or the cluster more; {look}", lasts=True)
    if status.get("phase") in {"Failed", "Succeeded"}:
        said = f"its pod has ended ({line(status.get('reason') or status['phase'])} {line(status.get('message'))})"
        return Trouble(said.replace(" )", ")"), look)
    for each in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if not each.get("ready") and (found := _of_container(cluster, part, pod, each, look)):
            return found
    said = "its pod ends" if pod["metadata"].get("deletionTimestamp") else "its pod is being made"
    return Trouble(", ".join([said, *warnings(cluster, name)]), look)


def age(pod: Json) -> float:
    """Return for how many seconds a pod's container runs, else for how many the pod is there, by this machine's clock."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    begun = [each["state"]["running"].get("startedAt") for each in statuses if "running" in (each.get("state") or {})]
    return time.time() - moment(next(iter(begun), pod["metadata"]["creationTimestamp"]))


def restarts(pod: Json | None) -> int:
    """Return how often a pod's containers were started again."""
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or []
    return sum(int(each.get("restartCount", 0)) for each in statuses)


def history(pod: Json | None) -> Iterator[str]:
    """Give what befell a pod, in a few words each."""
    for each in ((pod or {}).get("status") or {}).get("containerStatuses") or []:
        ended = (each.get("lastState") or {}).get("terminated") or {}
        if ended.get("reason") == OUT_OF_MEMORY:
            yield f"{WANTS_MEMORY}, so {MORE_MEMORY}"
        if count := each.get("restartCount"):
            yield f"it was restarted {count} times"


def warnings(cluster: Cluster, name: str) -> Iterator[str]:
    """Give the cluster's newest warning about an object, if there is one."""
    with suppress(ApiError):  # who may not read events does without
        found = cluster.items(cluster.at("events"), fields=f"involvedObject.name={name},type=Warning")
        newest = max(found, key=_told_at, default=None)
        if newest:
            yield line(newest.get("message"))


def moment(text: object) -> float:
    """Return a time of the API's in seconds since 1970; 0 for none."""
    return datetime.fromisoformat(str(text)).timestamp() if text else 0.0


def line(text: object) -> str:
    """Return a text in one line."""
    return " ".join(str(text or "").split()).rstrip(".")


def _of_container(cluster: Cluster, part: str, pod: Json, status: Json, look: str) -> Trouble | None:
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    why = str(waiting.get("reason", ""))
    ended = state.get("terminated") or ((status.get("lastState") or {}).get("terminated") if why in ENDING else None)
    if why in PULLING:
        said = f"its image {status.get('image') or _image(pod, status)} cannot be had ({why}: {line(waiting.get('message'))})"
        return Trouble(said, f"correct the image, or bring it to where the nodes get theirs; {look}", lasts=True)
    if why in UNMADE:
        said = f"its container cannot be made ({line(waiting.get('message') or why)})"
        return Trouble(said, f"run `keelson up -- --refresh`, or {look}", lasts=True)
    if ended:
        return _ended(cluster, part, pod, status, ended)
    if "running" in state:
        said = ", ".join(["it is not ready yet", *history(pod), *warnings(cluster, pod["metadata"]["name"])])
        return Trouble(said, f"see `keelson logs {part}`", runs=True)
    return None


def _ended(cluster: Cluster, part: str, pod: Json, status: Json, ended: Json) -> Trouble:
    """Return the trouble of a container that ended, and which is started again after a while."""
    if ended.get("reason") == OUT_OF_MEMORY:
        said = ", ".join([WANTS_MEMORY, *list(history(pod))[1:]])
        return Trouble(said, f"{MORE_MEMORY} and run `keelson up`", lasts=True, runs=True)
    told = [f"it ended with status {ended.get('exitCode')}", *history(pod)]
    if logged := logs.why(cluster, pod):
        told.append(f"and logged: {line(logged)}")
    return Trouble(", ".join(told), f"see `keelson logs {part}`", lasts=bool(status.get("restartCount")), runs=True)


def _image(pod: Json, status: Json) -> str:
    return next((str(each["image"]) for each in pod["spec"]["containers"] if each["name"] == status["name"]), "")


def _told_at(event: Json) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
