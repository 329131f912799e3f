"""A Redis of several instances before it gets fewer, or is encrypted: who stays has all, and who goes is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from keelson.containers import redis as single
from keelson.containers import replicas as wanted
from keelson.containers.model import CONFIG
from keelson.errors import KeelsonError, ServerError
from keelson.kubernetes import part, sentinels, standing, workloads
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.replicas import Instance, instances
from keelson.redis.server import ANSWER_SECONDS, CHANGE_SECONDS, TLS
from keelson.redis.wire import RefusedError

USUAL_PRIORITY = 100  # Redis's own


def prepare(spec: KubernetesSpec) -> None:
    """Before a Redis gets fewer instances, hand the master's part to one that stays and has all, and stop those that go.

    Before it is encrypted, or no more, stop all, once all have the same: those that are would not understand those that are not.

    Raises:
        ServerError: those that stay cannot take over; nothing was stopped.
    """
    before = standing.recorded(spec)
    everyone = instances(spec.name, before)
    staying, leaving = everyone[: standing.count(spec)], everyone[standing.count(spec) :]
    runs = workloads.look(spec.found, spec.key).get(spec.name)
    try:
        if leaving and runs:
            _hand_over(spec, staying, leaving)
    except KeelsonError as found:
        msg = f"{spec.name} keeps its {before} instances, as those that stay could not take over: {found}"
        raise ServerError(msg) from None
    for each in leaving:
        _stop(spec, each)
    if before > 1 and len(staying) > 1 and runs and bool(standing.root(spec)) != bool(spec.settings.get(TLS)):
        _stop_all(spec, staying)


def _hand_over(spec: KubernetesSpec, staying: Sequence[Instance], leaving: Sequence[Instance]) -> None:
    """Have the master among those that stay."""
    (master,) = standing.wait(lambda: _masters(spec, staying, leaving), "there is not one master")
    if master in staying:
        return
    _prefer(spec, leaving, 0)
    try:
        for each in [*staying, *leaving]:
            standing.wait(
                lambda each=each: sentinels.bars(spec, each, leaving),  # type: ignore[misc]
                "the sentinels do not hear which instances stay",
            )
        part.run(spec, "sh", f"{CONFIG}/handover.sh", "1", pod=master.pod)
    except KeelsonError:
        _prefer(spec, leaving, USUAL_PRIORITY)
        raise
    standing.wait(
        lambda: any(each.role == "master" for each in standing.look(spec, staying)),
        "the sentinels chose no master that stays",
    )


def _masters(spec: KubernetesSpec, staying: Sequence[Instance], leaving: Sequence[Instance]) -> list[Instance]:
    """Return the master, where there is one and all that stay follow it; raises ServerError where not."""
    found = standing.look(spec, [*staying, *leaving])
    masters = [each.instance for each in found if each.role == "master"]
    lacking = [each for each in found if each.instance in staying and each.role != "master" and not each.linked]
    if len(masters) == 1 and not lacking:
        return masters
    why = (
        f"{lacking[0].instance.host} {lacking[0].fault or 'does not follow the master'}"
        if lacking
        else "there is not one master"
    )
    msg = f"{why}; see `keelson status`"
    raise ServerError(msg)


def _prefer(spec: KubernetesSpec, among: Sequence[Instance], priority: int) -> None:
    """Say how gladly instances are chosen; 0 is never."""
    for each in among:
        try:
            with standing.door(spec, each).open(CHANGE_SECONDS) as redis:
                redis.ask("CONFIG", "SET", "replica-priority", str(priority))
        except (RefusedError, OSError) as found:
            msg = f"{each.host} does not answer ({found})"
            raise ServerError(msg) from None


def _stop(spec: KubernetesSpec, instance: Instance) -> None:
    """Have an instance run no pod, and wait until it is gone."""
    path = spec.found.at("statefulsets", instance.workload, api=workloads.APPS)
    if spec.found.get(path, metadata=True):
        spec.found.patch(f"{path}/scale", {"spec": {"replicas": 0}})
    part.restart(spec, single.SAVE_SECONDS + wanted.SECONDS_TO_HAND_OVER, instance.pod)


def _stop_all(spec: KubernetesSpec, among: Sequence[Instance]) -> None:
    """Stop all instances, the master last, once no more is written and all have what was: so any may lead when they start again."""
    masters = [each.instance for each in standing.look(spec, among) if each.role == "master"]
    try:
        for each in masters:
            _admit(spec, each, 1000)
        standing.wait(lambda: _have_all_of(spec, masters, among), "its instances do not have the same")
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
    with standing.door(spec, instance).open(CHANGE_SECONDS) as redis:
        redis.ask("CONFIG", "SET", "min-replicas-to-write", str(replicas))


def _have_all_of(spec: KubernetesSpec, masters: Sequence[Instance], among: Sequence[Instance]) -> bool:
    """Say whether there is one master, and all others have what it had when they were asked."""
    offsets = []
    for each in [*masters, *(each for each in among if each not in masters)]:  # it is asked first
        with standing.door(spec, each).open(ANSWER_SECONDS) as redis:
            told = redis.info("replication")
        offsets.append(int(told["master_repl_offset"] if each in masters else told.get("slave_repl_offset", -1)))
    return len(masters) == 1 and min(offsets) == offsets[0]
