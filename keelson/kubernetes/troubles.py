"""Why a part of a stack has no pod that serves, as the cluster tells it, with what to do about it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from keelson.kubernetes import faults, logs, pods, workloads
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ApiError, ForbiddenError
from keelson.kubernetes.workloads import Seen

PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
UNMADE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
TRIED_LATER = frozenset({"CrashLoopBackOff", "ImagePullBackOff"})
ENDING = frozenset({"CrashLoopBackOff"})
NOT_STARTED = frozenset({126, 127, 128})  # exit codes of an image that lacks the program
OUT_OF_MEMORY = "OOMKilled"
WANTS_MEMORY = "it was killed for want of memory"
MORE_MEMORY = "give it more (`memory` in the settings)"
REFUSED = re.compile(r"forbidden|denied|failed calling webhook|is invalid")  # of what controllers say of a pod
SCHEDULED = "PodScheduled"


@dataclass(frozen=True)
class Trouble:
    """What keeps a part from serving.

    Attributes:
        said: in a few words.
        step: what to do next.
        lasts: whether it does not pass by itself.
        runs: whether it has a process, or had one a moment ago.
        wanted: whether somebody wants it so, and no waiting helps.
    """

    said: str
    step: str
    lasts: bool = False
    runs: bool = False
    wanted: bool = False

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
        return Trouble(said, f"run `keelson start {part}`", lasts=True, wanted=True)
    if seen.members:
        return next(filter(None, (find(cluster, part, each) for each in seen.all)), None)
    if seen.pod is None:
        return _of_none(cluster, seen)
    return of_instances(cluster, seen, seen.pod) if seen.instances else of_pod(cluster, part, seen.pod)


def of_instances(cluster: Cluster, seen: Seen, pod: Json) -> Trouble:
    """Return what keeps a part of several instances from taking writes: what is true of its pod, and what its operator says."""
    if pods.is_ready(pod):
        name = seen.path.rpartition("/")[2]
        look = f"see `{cluster.kubectl(f'describe cluster {name}')}`"
        return Trouble(f"none of its instances takes writes ({seen.told})", look, runs=True)
    found = of_pod(cluster, seen.part, pod)
    return replace(found, said=f"{found.said} ({seen.told})" if seen.told else found.said)


def lack(cluster: Cluster, seen: Seen | None) -> str:
    """Return which instances a part lacks that serves, and why; nothing where it has all."""
    if seen is None or not seen.missing:
        return ""
    ill = next((pod for pod in seen.pods if not pods.is_ready(pod)), None)
    why = f"{ill['metadata']['name']}: {of_pod(cluster, seen.part, ill)}" if ill else seen.told
    return f"{seen.instances - seen.missing} of {seen.instances} instances are ready ({why})"


def renew(cluster: Cluster, seen: Seen) -> None:
    """Delete a pod that cannot run where another one shall be made in its place: a StatefulSet would wait for it for ever.

    Where its pod was refused, it is asked for again.
    One that only has not got ready yet, for example as its server reads its log, is left alone. One whose Secrets came after it is made
    anew too: the kubelet looks for them ever more seldom, in the end every two minutes.
    """
    for each in seen.all:
        _renew(cluster, each)


def _renew(cluster: Cluster, seen: Seen) -> None:
    """Do so for a part's own pod."""
    found = find(cluster, seen.part, seen)
    if seen.pod and found and ((seen.outdated and found.lasts) or _waits_for_what_has_come(cluster, seen.pod)):
        cluster.delete(cluster.at("pods", seen.pod["metadata"]["name"]))
    if seen.pod is None and not seen.stopped and found and found.lasts:
        workloads.hurry(cluster, seen)


def hasten(cluster: Cluster, seen: Seen) -> None:
    """Have a pod that is tried again later and later, up to every five minutes, tried anew now: what kept it may be mended."""
    for status in ((seen.pod or {}).get("status") or {}).get("containerStatuses") or ():
        waiting = (status.get("state") or {}).get("waiting") or {}
        if seen.pod and seen.path and waiting.get("reason") in TRIED_LATER:
            cluster.delete(cluster.at("pods", seen.pod["metadata"]["name"]))


def _waits_for_what_has_come(cluster: Cluster, pod: Json) -> bool:
    """Say whether a pod has no container yet, and mounts a Secret that was made after it; all that it mounts is there."""
    waiting = [
        (each.get("state") or {}).get("waiting") or {}
        for each in (pod.get("status") or {}).get("containerStatuses") or ()
    ]
    if not waiting or any(each.get("reason") != "ContainerCreating" for each in waiting):
        return False
    wanted = [each["secret"]["secretName"] for each in pod["spec"].get("volumes") or () if "secret" in each]
    found = [cluster.get(cluster.at("secrets", name), metadata=True) for name in wanted]
    there = [moment(each["metadata"]["creationTimestamp"]) for each in found if each]
    return len(there) == len(wanted) and max(there, default=0) > moment(pod["metadata"]["creationTimestamp"])


def of_pod(cluster: Cluster, part: str, pod: Json) -> Trouble:
    """Return what keeps a pod from being ready."""
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    look = f"see `{cluster.kubectl(f'describe pod {name}')}`"
    for condition in status.get("conditions") or ():
        if condition["type"] == SCHEDULED and condition["status"] != "True":
            why = line(condition.get("message") or condition.get("reason"))
            return Trouble(f"no node takes its pod ({why})", f"{_step_for_nodes(why)}; {look}", lasts=True)
    if status.get("phase") in {"Failed", "Succeeded"}:
        said = f"its pod has ended ({line(status.get('reason') or status['phase'])} {line(status.get('message'))})"
        return Trouble(said.replace(" )", ")"), look)
    for each in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if not each.get("ready") and (found := _of_container(cluster, part, pod, each, look)):
            return found
    if lost := _lost_node(cluster, pod):
        return lost
    said = "its pod ends" if pod["metadata"].get("deletionTimestamp") else "its pod is being made"
    return Trouble(", ".join([said, *warnings(cluster, name)]), look)


def of_crashes(cluster: Cluster, part: str, pod: Json | None) -> Trouble | None:
    """Return why a pod's container, which was started, ends again and again; None of one that serves, or was never started."""
    for each in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        ends = [(each.get(state) or {}).get("terminated") for state in ("state", "lastState")]
        ended = next(filter(None, ends), None)
        if pod and ended and not each.get("ready") and ended.get("exitCode") not in NOT_STARTED:
            return _ended(cluster, part, pod, each, ended)
    return None


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


def refused(cluster: Cluster, name: str) -> Trouble | None:
    """Return that the API refuses the pods of a workload or Job, if the cluster's newest warning says so."""
    said = next(warnings(cluster, name), "")
    return _refused(said, f"see `{cluster.kubectl(f'get events --field-selector involvedObject.name={name}')}`")


def _refused(said: str, look: str) -> Trouble | None:
    if not REFUSED.search(said):
        return None
    return Trouble(f"its pod cannot be made ({said})", f"{faults.step(said) or 'correct it'}; {look}", lasts=True)


def _of_none(cluster: Cluster, seen: Seen) -> Trouble:
    """Return why a workload has no pod."""
    name = seen.path.rpartition("/")[2]
    look = f"see `{cluster.kubectl(f'get events --field-selector involvedObject.name={name}')}`"
    said = line(seen.refusal) or next(warnings(cluster, name), "") or seen.told
    return _refused(said, look) or Trouble(", ".join(filter(None, ["it has no pod", said])), look)


def _step_for_nodes(why: str) -> str:
    """Return what may bring a pod to a node, by what the scheduler says of them."""
    if "Insufficient" in why:
        return "give it less (`memory`, `cpus`), or the cluster more"
    if "unschedulable" in why:
        return "let a node take pods again (`kubectl uncordon NODE`), or add one"
    return "bring back the node that its volume is on, or add one that fits"


def _lost_node(cluster: Cluster, pod: Json) -> Trouble | None:
    """Return that a pod's node does not answer; nobody starts the pod elsewhere as long as it may run there."""
    name = pod["spec"].get("nodeName", "")
    with suppress(ForbiddenError):  # who may not look at nodes does without
        node = cluster.get(f"/api/v1/nodes/{name}") if name else None
        for condition in ((node or {}).get("status") or {}).get("conditions") or ():
            if condition["type"] == "Ready" and condition["status"] != "True":
                said = f"its node {name} does not answer ({line(condition.get('message') or condition.get('reason'))})"
                step = (
                    f"bring it back; if it is lost for good, `kubectl delete node {name}` lets another one take the pod"
                )
                return Trouble(said, step, lasts=True)
    return None


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
