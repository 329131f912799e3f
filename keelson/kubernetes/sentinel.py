"""A Redis of several instances in a cluster: brought to what its files say, one instance after the other, and made smaller.

Which instance is the master is the sentinels' choice alone. What is done here asks them, and waits for them.
"""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keelson.containers import redis as single
from keelson.containers import replicas as wanted
from keelson.containers import state
from keelson.containers.model import CONFIG
from keelson.containers.replicas import Formation
from keelson.containers.target import ContainerTarget
from keelson.errors import KeelsonError, ServerError
from keelson.kubernetes import forward, names, part, replicas, workloads
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.replicas import Instance, instances, proxy
from keelson.redis import server
from keelson.redis.server import ADMINISTRATOR, ANSWER_SECONDS, BUSY_SECONDS, CHANGE_SECONDS, TLS, Door
from keelson.redis.users import INNER_RIGHTS
from keelson.redis.wire import Conversation, RefusedError, Reply, conversation, is_unverified
from keelson.target import Address, target

MADE_OF = "keelson.dev/made-of"  # an annotation of a workload's template, and so of its pods
FORMATION = "formation"  # a file: the id
SECONDS_TO_START = 180.0 + wanted.SECONDS_TO_HAND_OVER
SECONDS_TO_AGREE = 90.0  # for sentinels to find each other, or another master
POLL = 0.25
USUAL_PRIORITY = 100  # Redis's own
WRONG_PASSWORD = "WRONGPASS"  # noqa: S105 - Redis's word


@dataclass(frozen=True)
class Standing:
    """How one instance is: `role` is master, slave or empty where it says nothing, `fault` why it says nothing."""

    instance: Instance
    role: str = ""
    linked: bool = False
    fault: str = ""


def count(spec: KubernetesSpec) -> int:
    """Return how many instances a part has."""
    return int(spec.settings.get("instances", 1))


def files(spec: KubernetesSpec) -> Mapping[str, str]:
    """Return what the instances read beside the files of a single Redis; makes the passwords of those that they work with."""
    if count(spec) == 1:
        return {}
    known = {login: _ensured(spec, login) for login in INNER_RIGHTS}
    kept = part.texts(spec).get(FORMATION) or secrets.token_hex(6)
    hosts = [each.host for each in _instances(spec)]
    formation = Formation(spec.name, hosts, kept, known, str(spec.settings.get(TLS, "")))
    return {FORMATION: kept, **wanted.files(formation)}


def bring(spec: KubernetesSpec) -> tuple[str, ...]:
    """Have each pod as it should be, one after the other, each instance take over what its files say, and all work together.

    Raises:
        ServerError: an instance does not answer, or they do not agree.
    """
    seconds = SECONDS_TO_START + BUSY_SECONDS
    for each in _instances(spec):
        _wake(spec, each)
    notes = _make_anew(spec)
    part.wait(spec, lambda: _silence(spec), seconds)
    for each in _instances(spec):
        part.await_files(spec, each.pod)
    _update(spec)
    part.wait(spec, lambda: fault(spec), seconds)
    for each in _instances(spec):
        _renew_sentinel(spec, each)
        _correct_sentinel(spec, each)
    part.wait(spec, lambda: single.fault(spec), SECONDS_TO_START)
    return notes


def remainder(spec: KubernetesSpec) -> str:
    """Return what is left of several instances where a Redis has one now: it answers until the cluster makes its pod anew."""
    found = spec.found.items(spec.found.at("pods"), names.selector(spec.key, spec.name))
    return "its pod is made anew" if any(_made_of(pod) for pod in found) else ""


def fault(spec: KubernetesSpec) -> str:
    """Return why the instances do not work together; nothing where they do."""
    found = _look(spec)
    if silent := [each for each in found if each.fault]:
        return f"{silent[0].instance.host} {silent[0].fault}"
    masters = [each.instance.host for each in found if each.role == "master"]
    if len(masters) != 1:
        return f"{' and '.join(masters)} are masters" if masters else "no instance is the master"
    if apart := [each.instance.host for each in found if each.role != "master" and not each.linked]:
        return f"{apart[0]} does not follow the master {masters[0]} yet"
    return ""


def prepare(spec: KubernetesSpec) -> None:
    """Before a Redis gets fewer instances, hand the master's part to one that stays and has all, and stop those that go.

    Before it is encrypted, or no more, stop all, once all have the same: those that are would not understand those that are not.

    Raises:
        ServerError: those that stay cannot take over; nothing was stopped.
    """
    before = _recorded(spec)
    everyone = instances(spec.name, before)
    staying, leaving = everyone[: count(spec)], everyone[count(spec) :]
    runs = workloads.look(spec.found, spec.key).get(spec.name)
    try:
        if leaving and runs:
            _hand_over(spec, staying, leaving)
    except KeelsonError as found:
        msg = f"{spec.name} keeps its {before} instances, as those that stay could not take over: {found}"
        raise ServerError(msg) from None
    for each in leaving:
        _stop(spec, each)
    if before > 1 and len(staying) > 1 and runs and bool(_root(spec)) != bool(spec.settings.get(TLS)):
        _stop_all(spec, staying)


def door(spec: KubernetesSpec, instance: Instance) -> Door:
    """Return how an instance's administrator reaches it now, ready or not."""
    port = forward.port(spec.place, spec.key, forward.pod(instance.pod), wanted.PORT)
    return Door(
        instance.host,
        Address(host=forward.LOOPBACK, port=port, root_certificate=_root(spec)),
        state.password(spec, ADMINISTRATOR),
    )


def _instances(spec: KubernetesSpec) -> tuple[Instance, ...]:
    return instances(spec.name, count(spec))


def _ensured(spec: KubernetesSpec, login: str) -> str:
    return str(state.ask(spec.place, spec.key, "ensure_password", server=spec.name, role=login, chosen=None))


def _root(spec: KubernetesSpec) -> Path | None:
    """Return what instances are verified against, as they were last brought up; None where they speak no TLS."""
    record = state.ask(spec.place, spec.key, "records")["daemons"].get(spec.name)
    place = target(spec.place)
    assert isinstance(place, ContainerTarget)  # noqa: S101 - as all of this platform
    return place.root_certificate(spec.key, record) if record else None


def _recorded(spec: KubernetesSpec) -> int:
    record = state.ask(spec.place, spec.key, "records")["daemons"].get(spec.name)
    return int(record["settings"].get("instances", 1)) if record else 1


def _look(spec: KubernetesSpec, among: Sequence[Instance] = ()) -> list[Standing]:
    return [_standing(spec, each) for each in among or _instances(spec)]


def _standing(spec: KubernetesSpec, instance: Instance) -> Standing:
    try:
        with door(spec, instance).open(ANSWER_SECONDS) as redis:
            info = redis.info("replication")
    except RefusedError as refused:
        return Standing(instance, fault=server.REFUSALS.get(refused.code, str(refused)))
    except OSError as failed:
        return Standing(instance, fault=server.UNVERIFIED if is_unverified(failed) else "does not answer")
    return Standing(instance, info["role"], info.get("master_link_status") == "up")


def _silence(spec: KubernetesSpec) -> str:
    """Return which instance does not answer; to refuse the password, or show an old certificate, is an answer: a new start puts that right."""
    known = {"", server.REFUSALS[WRONG_PASSWORD], server.UNVERIFIED}
    silent = (each for each in _look(spec) if each.fault not in known)
    return next((f"{each.instance.host} {each.fault}" for each in silent), "")


# Pods


def _make_anew(spec: KubernetesSpec) -> tuple[str, ...]:
    """Delete the pods that are made of another template than they should be: replicas first, each when the one before follows again.

    That of the first instance is the cluster's work, and waited for.
    """
    part.wait(spec, lambda: _ending(spec), SECONDS_TO_START)
    outdated = [each for each in _instances(spec) if _is_outdated(spec, each)]
    if not outdated:
        return ()
    together = _agree(spec)
    for each in _master_last(spec, outdated) if together else outdated:
        part.restart(spec, single.SAVE_SECONDS + wanted.SECONDS_TO_HAND_OVER, each.pod)
        if together:
            part.wait(spec, lambda: fault(spec), SECONDS_TO_START + BUSY_SECONDS)
    return (f"made {', '.join(each.host for each in outdated)} anew",)


def _ending(spec: KubernetesSpec) -> str:
    """Return which instance's pod ends."""
    for each in _instances(spec):
        pod = spec.found.get(spec.found.at("pods", each.pod))
        if pod and pod["metadata"].get("deletionTimestamp"):
            return f"{each.host} ends"
    return ""


def _agree(spec: KubernetesSpec) -> bool:
    """Say whether all instances work together, now or soon; those that do not may as well be made anew at once."""
    until = time.monotonic() + SECONDS_TO_AGREE
    while fault(spec):
        if time.monotonic() > until:
            return False
        time.sleep(POLL)
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
        with door(spec, instance).open(ANSWER_SECONDS) as redis:
            found = redis.ask("CONFIG", "GET", "replica-announce-ip")
    except (RefusedError, OSError):
        return False
    announced = str(found[1]) if isinstance(found, list) and len(found) > 1 else ""
    return _addresses(spec).get(announced) != instance.host


def _addresses(spec: KubernetesSpec, number: int = 0) -> dict[str, str]:
    return replicas.addresses(spec.found, spec.name, number or count(spec))


def _made_of(thing: Json) -> str:
    return str((thing["metadata"].get("annotations") or {}).get(MADE_OF, ""))


def _master_last(spec: KubernetesSpec, among: Sequence[Instance]) -> list[Instance]:
    return (
        [each.instance for each in sorted(_look(spec, among), key=lambda each: each.role == "master")] if among else []
    )


def _stop(spec: KubernetesSpec, instance: Instance) -> None:
    """Have an instance run no pod, and wait until it is gone."""
    path = spec.found.at("statefulsets", instance.workload, api=workloads.APPS)
    if spec.found.get(path, metadata=True):
        spec.found.patch(f"{path}/scale", {"spec": {"replicas": 0}})
    part.restart(spec, single.SAVE_SECONDS + wanted.SECONDS_TO_HAND_OVER, instance.pod)


def _stop_all(spec: KubernetesSpec, among: Sequence[Instance]) -> None:
    """Stop all instances, the master last, once no more is written and all have what was: so any may lead when they start again."""
    masters = [each.instance for each in _look(spec, among) if each.role == "master"]
    try:
        for each in masters:
            _admit(spec, each, 1000)
        _await(lambda: _have_all_of(spec, masters, among), "its instances do not have the same")
    except (KeelsonError, OSError, RefusedError) as found:
        for each in masters:
            with suppress(OSError, RefusedError):
                _admit(spec, each, 1)
        msg = f"{spec.name} stays as it was, as it could not be stopped without loss: {found}; see `keelson status`"
        raise ServerError(msg) from None
    for each in sorted(among, key=lambda each: each in masters):
        _stop(spec, each)


def _admit(spec: KubernetesSpec, instance: Instance, replicas: int) -> None:
    """Have an instance take writes only while so many replicas follow."""
    with door(spec, instance).open(CHANGE_SECONDS) as redis:
        redis.ask("CONFIG", "SET", "min-replicas-to-write", str(replicas))


def _have_all_of(spec: KubernetesSpec, masters: Sequence[Instance], among: Sequence[Instance]) -> bool:
    """Say whether there is one master, and all others have what it had when they were asked."""
    offsets = []
    for each in [*masters, *(each for each in among if each not in masters)]:  # it is asked first
        with door(spec, each).open(ANSWER_SECONDS) as redis:
            told = redis.info("replication")
        offsets.append(int(told["master_repl_offset"] if each in masters else told.get("slave_repl_offset", -1)))
    return len(masters) == 1 and min(offsets) == offsets[0]


def _wake(spec: KubernetesSpec, instance: Instance) -> None:
    """Have an instance run a pod that was stopped, where nobody else does so."""
    path = spec.found.at("statefulsets", instance.workload, api=workloads.APPS)
    found = spec.found.get(path)
    if found and found["spec"].get("replicas") == 0:
        spec.found.patch(f"{path}/scale", {"spec": {"replicas": 1}})


# Settings and users


def _update(spec: KubernetesSpec) -> None:
    """Set on each instance what it takes while it runs; those that refuse their administrator start anew."""
    refusing = [each for each in _master_last(spec, _instances(spec)) if not _take_over(spec, each)]
    if not refusing:
        return
    if all(_knows(spec, each) for each in refusing):
        for each in refusing:
            part.restart(spec, single.SAVE_SECONDS + wanted.SECONDS_TO_HAND_OVER, each.pod)
            part.wait(spec, lambda each=each: _apart(spec, each), SECONDS_TO_START + BUSY_SECONDS)  # type: ignore[misc]
    else:
        _restart_all(spec)
    for each in refusing:
        if not _take_over(spec, each):
            msg = f"{each.host} refuses the password of its administrator; see `keelson logs {spec.name}`"
            raise ServerError(msg)


def _take_over(spec: KubernetesSpec, instance: Instance) -> bool:
    known = single.passwords(spec)
    at = door(spec, instance)
    log = single.Log(partial(part.run, spec, pod=instance.pod))
    if not server.bring(at, spec.settings, known, log, single.listening(spec)):
        return False
    with at.open(CHANGE_SECONDS) as redis:
        redis.ask("CONFIG", "SET", "masteruser", "replica", "masterauth", known["replica"])
    return True


def _knows(spec: KubernetesSpec, instance: Instance) -> bool:
    """Say whether an instance knows the password of those by which all work together: then one starts anew after the other."""
    at = door(spec, instance)
    try:
        with conversation(at.address, "sentinel", single.passwords(spec)["sentinel"], ANSWER_SECONDS) as redis:
            redis.ask("PING")
    except (RefusedError, OSError):
        return False
    return True


def _apart(spec: KubernetesSpec, instance: Instance) -> str:
    """Return why an instance is neither the master nor follows it."""
    found = _standing(spec, instance)
    if found.fault:
        return f"{instance.host} {found.fault}"
    return "" if found.role == "master" or found.linked else f"{instance.host} does not follow the master yet"


def _restart_all(spec: KubernetesSpec) -> None:
    """Start all anew at once, the proxies too: no one knows the others' passwords any more."""
    chosen = f"{names.STACK_LABEL}={names.stack_label(spec.key)},{names.PART_LABEL} in ({','.join(_parts(spec))})"
    old = spec.found.items(spec.found.at("pods"), chosen)
    for pod in old:
        spec.found.delete(spec.found.at("pods", pod["metadata"]["name"]))
    known = [pod["metadata"]["uid"] for pod in old]
    for each in _instances(spec):
        part.wait(spec, lambda each=each: _old(spec, each, known), SECONDS_TO_START)  # type: ignore[misc]
    part.wait(spec, lambda: fault(spec), SECONDS_TO_START + BUSY_SECONDS)


def _parts(spec: KubernetesSpec) -> list[str]:
    return [*(each.part for each in _instances(spec)), proxy(spec.name)]


def _old(spec: KubernetesSpec, instance: Instance, known: Sequence[str]) -> str:
    pod = spec.found.get(spec.found.at("pods", instance.pod))
    return f"{instance.host} ends" if pod is None or pod["metadata"]["uid"] in known else ""


# Sentinels


def _hand_over(spec: KubernetesSpec, staying: Sequence[Instance], leaving: Sequence[Instance]) -> None:
    """Have the master among those that stay."""
    found = _look(spec, [*staying, *leaving])
    masters = [each.instance for each in found if each.role == "master"]
    lacking = [each for each in found if each.instance in staying and each.role != "master" and not each.linked]
    if len(masters) != 1 or lacking:
        why = (
            f"{lacking[0].instance.host} {lacking[0].fault or 'does not follow the master'}"
            if lacking
            else "there is not one master"
        )
        msg = f"{why}; see `keelson status`"
        raise ServerError(msg)
    if masters[0] in staying:
        return
    _prefer(spec, leaving, 0)
    try:
        for each in [*staying, *leaving]:
            _await(lambda each=each: _barred(spec, each, leaving), "the sentinels do not hear which instances stay")  # type: ignore[misc]
        part.run(spec, "sh", f"{CONFIG}/handover.sh", "1", pod=masters[0].pod)
    except KeelsonError:
        _prefer(spec, leaving, USUAL_PRIORITY)
        raise
    _await(
        lambda: any(each.role == "master" for each in _look(spec, staying)), "the sentinels chose no master that stays"
    )


def _prefer(spec: KubernetesSpec, among: Sequence[Instance], priority: int) -> None:
    """Say how gladly instances are chosen; 0 is never."""
    for each in among:
        try:
            with door(spec, each).open(CHANGE_SECONDS) as redis:
                redis.ask("CONFIG", "SET", "replica-priority", str(priority))
        except (RefusedError, OSError) as found:
            msg = f"{each.host} does not answer ({found})"
            raise ServerError(msg) from None


def _barred(spec: KubernetesSpec, at: Instance, leaving: Sequence[Instance]) -> bool:
    """Say whether a sentinel knows that none of those that go may become the master."""
    with _sentinel(spec, at) as asked:
        known = _listed(asked, "REPLICAS", spec.name)
    gone = {each.host for each in leaving}
    hosts = _addresses(spec, _recorded(spec))
    return all(each.get("slave-priority") == "0" for each in known if hosts.get(each["ip"]) in gone)


def _correct_sentinel(spec: KubernetesSpec, instance: Instance) -> None:
    """Let a sentinel know how many must agree, and forget instances that are gone."""
    others, hosts = count(spec) - 1, _addresses(spec)

    def known() -> bool:
        with _sentinel(spec, instance) as asked:
            found = [_listed(asked, kind, spec.name) for kind in ("REPLICAS", "SENTINELS")]
            return all(len(each) == others and {one["ip"] for one in each} <= hosts.keys() for each in found)

    with _sentinel(spec, instance) as asked:
        asked.ask("SENTINEL", "SET", spec.name, "quorum", str(count(spec) // 2 + 1))
    until = time.monotonic() + 10
    while not known():
        if time.monotonic() > until:
            with _sentinel(spec, instance) as asked:
                asked.ask("SENTINEL", "RESET", spec.name)
            _await(known, f"the sentinel of {instance.host} does not find the others")
        time.sleep(POLL)


def _renew_sentinel(spec: KubernetesSpec, instance: Instance) -> None:
    """Have a sentinel that shows another certificate than lies in its files start anew: it reads them once. Clients do not notice."""
    if not (wanted_one := part.texts(spec).get("server.crt")):
        return
    port = forward.port(spec.place, spec.key, forward.pod(instance.pod), wanted.SENTINEL_PORT)

    def shows_it() -> bool:
        try:
            shown = ssl.get_server_certificate((forward.LOOPBACK, port), timeout=ANSWER_SECONDS)
        except OSError:
            return False
        return shown.strip() == wanted_one.strip()

    if shows_it():
        return
    with suppress(ServerError), _sentinel(spec, instance) as asked:
        asked.ask("SHUTDOWN")  # it hangs up
    _await(shows_it, f"the sentinel of {instance.host} does not show its new certificate")


@contextmanager
def _sentinel(spec: KubernetesSpec, instance: Instance) -> Iterator[Conversation]:
    """Log in to the sentinel beside an instance; raises ServerError where it does not answer."""
    port = forward.port(spec.place, spec.key, forward.pod(instance.pod), wanted.SENTINEL_PORT)
    address = Address(host=forward.LOOPBACK, port=port, root_certificate=_root(spec))
    try:
        with conversation(address, "sentinel", state.password(spec, "sentinel"), CHANGE_SECONDS) as asked:
            yield asked
    except (RefusedError, OSError) as found:
        msg = f"the sentinel of {instance.host} does not answer ({found}); see `{spec.found.kubectl(f'logs {instance.pod} -c sentinel')}`"
        raise ServerError(msg) from None


def _listed(asked: Conversation, kind: str, name: str) -> list[dict[str, str]]:
    found = asked.ask("SENTINEL", kind, name)
    return [_fields(each) for each in found] if isinstance(found, list) else []


def _fields(reply: Reply) -> dict[str, str]:
    words = [str(word) for word in reply] if isinstance(reply, list) else []
    return dict(zip(words[::2], words[1::2], strict=True))


def _await(holds: Callable[[], bool], otherwise: str) -> None:
    until, why = time.monotonic() + SECONDS_TO_AGREE, otherwise
    while True:
        try:
            if holds():
                return
        except KeelsonError as found:
            why = str(found)
        if time.monotonic() > until:
            raise ServerError(why)
        time.sleep(POLL)
