"""How the instances of a Redis in a cluster stand to each other, asked of each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from keelson.containers import replicas as wanted
from keelson.containers import state
from keelson.containers.target import ContainerTarget
from keelson.errors import KeelsonError, ServerError
from keelson.kubernetes import forward, replicas
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.replicas import Instance, instances
from keelson.redis import server
from keelson.redis.server import ADMINISTRATOR, ANSWER_SECONDS, Door
from keelson.redis.wire import RefusedError, is_unverified
from keelson.target import Address, target

SECONDS_TO_AGREE = 90.0  # for sentinels to find each other, or another master
POLL = 0.25

T = TypeVar("T")


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


def all_of(spec: KubernetesSpec) -> tuple[Instance, ...]:
    """Return the instances that a part has."""
    return instances(spec.name, count(spec))


def recorded(spec: KubernetesSpec) -> int:
    """Return how many it had when it was last brought up; 1 where it never was."""
    record = _record(spec)
    return int(record["settings"].get("instances", 1)) if record else 1


def root(spec: KubernetesSpec) -> Path | None:
    """Return what instances are verified against, as they were last brought up; None where they speak no TLS."""
    record = _record(spec)
    place = target(spec.place)
    assert isinstance(place, ContainerTarget)  # noqa: S101 - as all of this platform
    return place.root_certificate(spec.key, record) if record else None


def _record(spec: KubernetesSpec) -> dict[str, Any] | None:
    """Return what was written down of a part when it was last brought up."""
    found: dict[str, dict[str, Any]] = state.ask(spec.place, spec.key, "records")["daemons"]
    return found.get(spec.name)


def door(spec: KubernetesSpec, instance: Instance) -> Door:
    """Return how an instance's administrator reaches it now, ready or not."""
    port = forward.port(spec.place, spec.key, forward.pod(instance.pod), wanted.PORT)
    return Door(
        instance.host,
        Address(host=forward.LOOPBACK, port=port, root_certificate=root(spec)),
        state.password(spec, ADMINISTRATOR),
    )


def addresses(spec: KubernetesSpec, number: int = 0) -> dict[str, str]:
    """Return the host of each instance by the address of its Service, of so many instances as it has where no number is given."""
    return replicas.addresses(spec.found, spec.name, number or count(spec))


def fault(spec: KubernetesSpec) -> str:
    """Return why the instances do not work together; nothing where they do."""
    found = look(spec)
    if silent := [each for each in found if each.fault]:
        return f"{silent[0].instance.host} {silent[0].fault}"
    masters = [each.instance.host for each in found if each.role == "master"]
    if len(masters) != 1:
        return f"{' and '.join(masters)} are masters" if masters else "no instance is the master"
    if alone := [each.instance.host for each in found if each.role != "master" and not each.linked]:
        return f"{alone[0]} does not follow the master {masters[0]} yet"
    return ""


def apart(spec: KubernetesSpec, instance: Instance) -> str:
    """Return why an instance is neither the master nor follows it."""
    found = of(spec, instance)
    if found.fault:
        return f"{instance.host} {found.fault}"
    return "" if found.role == "master" or found.linked else f"{instance.host} does not follow the master yet"


def look(spec: KubernetesSpec, among: Sequence[Instance] = ()) -> list[Standing]:
    """Return how each of these stands, all where none is named."""
    return [of(spec, each) for each in among or all_of(spec)]


def of(spec: KubernetesSpec, instance: Instance) -> Standing:
    """Return how one stands."""
    try:
        with door(spec, instance).open(ANSWER_SECONDS) as redis:
            info = redis.info("replication")
    except RefusedError as refused:
        return Standing(instance, fault=server.REFUSALS.get(refused.code, str(refused)))
    except OSError as failed:
        return Standing(instance, fault=server.UNVERIFIED if is_unverified(failed) else "does not answer")
    return Standing(instance, info["role"], info.get("master_link_status") == "up")


def wait(ask: Callable[[], T], otherwise: str) -> T:
    """Ask until the answer is not empty, and return it: who does not answer on a busy machine may do so a moment later.

    Raises:
        ServerError: it was empty for too long; the sentence is that of the last error, else `otherwise`.
    """
    until = time.monotonic() + SECONDS_TO_AGREE
    while True:
        why = otherwise
        try:
            if found := ask():
                return found
        except (KeelsonError, RefusedError, OSError) as fault:
            why = str(fault) or otherwise
        if time.monotonic() > until:
            raise ServerError(why)
        time.sleep(POLL)
