"""A Redis of several instances in a cluster: brought to what its files say, one instance after the other.

Which instance is the master is the sentinels' choice alone. What is done here asks them, and waits for them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial

from keelson.containers import redis as single
from keelson.containers import replicas as wanted
from keelson.containers import state
from keelson.containers.replicas import Formation
from keelson.errors import ServerError
from keelson.kubernetes import names, part, sentinels, standing, workloads
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.replicas import Instance, proxy
from keelson.redis import server
from keelson.redis.server import ANSWER_SECONDS, BUSY_SECONDS, CHANGE_SECONDS, TLS
from keelson.redis.users import INNER_RIGHTS
from keelson.redis.wire import RefusedError, conversation

MADE_OF = "keelson.dev/made-of"  # an annotation of a workload's template, and so of its pods
FORMATION = "formation"  # a file: the id
SECONDS_TO_START = 180.0 + wanted.SECONDS_TO_HAND_OVER
WRONG_PASSWORD = "WRONGPASS"  # noqa: S105 - Redis's word


def files(spec: KubernetesSpec) -> Mapping[str, str]:
    """Return what the instances read beside the files of a single Redis; makes the passwords of those that they work with."""
    if standing.count(spec) == 1:
        return {}
    known = {login: _ensured(spec, login) for login in INNER_RIGHTS}
    kept = part.texts(spec).get(FORMATION) or secrets.token_hex(6)
    hosts = [each.host for each in standing.all_of(spec)]
    formation = Formation(spec.name, hosts, kept, known, str(spec.settings.get(TLS, "")))
    return {FORMATION: kept, **wanted.files(formation)}


def _ensured(spec: KubernetesSpec, login: str) -> str:
    return str(state.ask(spec.place, spec.key, "ensure_password", server=spec.name, role=login, chosen=None))


def bring(spec: KubernetesSpec) -> tuple[str, ...]:
    """Have each pod as it should be, one after the other, each instance take over what its files say, and all work together.

    Raises:
        ServerError: an instance does not answer, or they do not agree.
    """
    seconds = SECONDS_TO_START + BUSY_SECONDS
    for each in standing.all_of(spec):
        _wake(spec, each)
    notes = _make_anew(spec)
    part.wait(spec, lambda: _silence(spec), seconds)
    for each in standing.all_of(spec):
        part.await_files(spec, each.pod)
    _update(spec)
    part.wait(spec, lambda: standing.fault(spec), seconds)
    for each in standing.all_of(spec):
        sentinels.renew(spec, each)
        sentinels.correct(spec, each)
    part.wait(spec, lambda: single.fault(spec), SECONDS_TO_START)
    return notes


def remainder(spec: KubernetesSpec) -> str:
    """Return what is left of several instances where a Redis has one now: it answers until the cluster makes its pod anew."""
    found = spec.found.items(spec.found.at("pods"), names.selector(spec.key, spec.name))
    return "its pod is made anew" if any(_made_of(pod) for pod in found) else ""


def _silence(spec: KubernetesSpec) -> str:
    """Return which instance does not answer; to refuse the password, or show an old certificate, is an answer: a new start puts that right."""
    known = {"", server.REFUSALS[WRONG_PASSWORD], server.UNVERIFIED}
    silent = (each for each in standing.look(spec) if each.fault not in known)
    return next((f"{each.instance.host} {each.fault}" for each in silent), "")


# Pods


def _make_anew(spec: KubernetesSpec) -> tuple[str, ...]:
    """Delete the pods that are made of another template than they should be: replicas first, each when the one before follows again.

    That of the first instance is the cluster's work, and waited for.
    """
    part.wait(spec, lambda: _ending(spec), SECONDS_TO_START)
    outdated = [each for each in standing.all_of(spec) if _is_outdated(spec, each)]
    if not outdated:
        return ()
    together = _agree(spec)
    for each in _master_last(spec, outdated) if together else outdated:
        part.restart(spec, single.SAVE_SECONDS + wanted.SECONDS_TO_HAND_OVER, each.pod)
        if together:
            part.wait(spec, lambda: standing.fault(spec), SECONDS_TO_START + BUSY_SECONDS)
    return (f"made {', '.join(each.host for each in outdated)} anew",)


def _ending(spec: KubernetesSpec) -> str:
    """Return which instance's pod ends."""
    for each in standing.all_of(spec):
        pod = spec.found.get(spec.found.at("pods", each.pod))
        if pod and pod["metadata"].get("deletionTimestamp"):
            return f"{each.host} ends"
    return ""


def _agree(spec: KubernetesSpec) -> bool:
    """Say whether all instances work together, now or soon; those that do not may as well be made anew at once."""
    until = time.monotonic() + standing.SECONDS_TO_AGREE
    while standing.fault(spec):
        if time.monotonic() > until:
            return False
        time.sleep(standing.POLL)
    return True


def _is_outdated(spec: KubernetesSpec, instance: Instance) -> bool:
    """Say whether a pod is made of another template than its workload has, or its Service has got another address since."""
    workload = spec.found.get(spec.found.at("statefulsets", instance.workload, api=workloads.APPS))
    pod = part.pod_of(spec, instance.pod)
    if workload is None or pod is None:
        return False
    return _made_of(workload["spec"]["template"]) != _made_of(pod) or _has_moved(spec, instance)


def _has_moved(spec: KubernetesSpec, instance: Instance) -> bool:
    try:
        with standing.door(spec, instance).open(ANSWER_SECONDS) as redis:
            found = redis.ask("CONFIG", "GET", "replica-announce-ip")
    except (RefusedError, OSError):
        return False
    announced = str(found[1]) if isinstance(found, list) and len(found) > 1 else ""
    return standing.addresses(spec).get(announced) != instance.host


def _made_of(thing: Json) -> str:
    return str((thing["metadata"].get("annotations") or {}).get(MADE_OF, ""))


def _master_last(spec: KubernetesSpec, among: Sequence[Instance]) -> list[Instance]:
    return (
        [each.instance for each in sorted(standing.look(spec, among), key=lambda each: each.role == "master")]
        if among
        else []
    )


def _wake(spec: KubernetesSpec, instance: Instance) -> None:
    """Have an instance run a pod that was stopped, where nobody else does so."""
    path = spec.found.at("statefulsets", instance.workload, api=workloads.APPS)
    found = spec.found.get(path)
    if found and found["spec"].get("replicas") == 0:
        spec.found.patch(f"{path}/scale", {"spec": {"replicas": 1}})


# Settings and users


def _update(spec: KubernetesSpec) -> None:
    """Set on each instance what it takes while it runs; those that refuse their administrator start anew."""
    refusing = [each for each in _master_last(spec, standing.all_of(spec)) if not _take_over(spec, each)]
    if not refusing:
        return
    if all(_knows(spec, each) for each in refusing):
        for each in refusing:
            part.restart(spec, single.SAVE_SECONDS + wanted.SECONDS_TO_HAND_OVER, each.pod)
            part.wait(spec, lambda each=each: standing.apart(spec, each), SECONDS_TO_START + BUSY_SECONDS)  # type: ignore[misc]
    else:
        _restart_all(spec)
    for each in refusing:
        if not _take_over(spec, each):
            msg = f"{each.host} refuses the password of its administrator; see `keelson logs {spec.name}`"
            raise ServerError(msg)


def _take_over(spec: KubernetesSpec, instance: Instance) -> bool:
    known = single.passwords(spec)
    at = standing.door(spec, instance)
    log = single.Log(partial(part.run, spec, pod=instance.pod))
    if not server.bring(at, spec.settings, known, log, single.listening(spec)):
        return False
    with at.open(CHANGE_SECONDS) as redis:
        redis.ask("CONFIG", "SET", "masteruser", "replica", "masterauth", known["replica"])
    return True


def _knows(spec: KubernetesSpec, instance: Instance) -> bool:
    """Say whether an instance knows the password of those by which all work together: then one starts anew after the other."""
    at = standing.door(spec, instance)
    try:
        with conversation(at.address, "sentinel", single.passwords(spec)["sentinel"], ANSWER_SECONDS) as redis:
            redis.ask("PING")
    except (RefusedError, OSError):
        return False
    return True


def _restart_all(spec: KubernetesSpec) -> None:
    """Start all anew at once, the proxies too: no one knows the others' passwords any more."""
    chosen = f"{names.STACK_LABEL}={names.stack_label(spec.key)},{names.PART_LABEL} in ({','.join(_parts(spec))})"
    old = spec.found.items(spec.found.at("pods"), chosen)
    for pod in old:
        spec.found.delete(spec.found.at("pods", pod["metadata"]["name"]))
    known = [pod["metadata"]["uid"] for pod in old]
    for each in standing.all_of(spec):
        part.wait(spec, lambda each=each: _old(spec, each, known), SECONDS_TO_START)  # type: ignore[misc]
    part.wait(spec, lambda: standing.fault(spec), SECONDS_TO_START + BUSY_SECONDS)


def _parts(spec: KubernetesSpec) -> list[str]:
    return [*(each.part for each in standing.all_of(spec)), proxy(spec.name)]


def _old(spec: KubernetesSpec, instance: Instance, known: Sequence[str]) -> str:
    pod = spec.found.get(spec.found.at("pods", instance.pod))
    return f"{instance.host} ends" if pod is None or pod["metadata"]["uid"] in known else ""
