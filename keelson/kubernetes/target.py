"""The target `kubernetes`: servers and daemons as pods of a cluster's namespace."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from keelson.backups.disks import Disks
from keelson.containers.target import (
    AT_ONCE,
    LAST,
    POLL,
    RESTARTS,
    SECONDS_TO_RESTART,
    SECONDS_TO_START,
    ContainerTarget,
    is_encrypted,
    kind_of,
    looked_at,
    named_parts,
    rank,
)
from keelson.entrances import Entrance, host_of
from keelson.errors import PlatformError, SettingsError, UnreachableError
from keelson.inside.looks import fault_of, instances_of, lack_of, master_of
from keelson.kubernetes import (
    cluster,
    forward,
    ground,
    harm,
    logs,
    names,
    poolers,
    replicas,
    runs,
    state,
    toolbox,
    troubles,
    users,
    volumes,
    workloads,
)
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.troubles import Trouble
from keelson.kubernetes.workloads import Seen
from keelson.target import Address, Part

if TYPE_CHECKING:
    from keelson.backups.overview import Overview

SECONDS_TO_LOOK_FAR = 7.0  # at all parts, through the API
SECONDS_TO_ANSWER = 180.0  # from when it is asked for: a node may have to get the image and attach the volume
SECONDS_TO_STOP = 180.0  # more than any part is given


class KubernetesTarget(ContainerTarget):
    """What a cluster, the stack's state in it and its toolbox know; see `keelson.target.Target` for what each method is for."""

    def locate(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return a port of this machine that leads to `server`, waiting a while for a pod that is just started again."""
        record = self._record(stack, server)
        host, inner = host_of(record, entrance, stack), int(record["port"])
        root = self.root_certificate(stack, record)
        if entrance == "primary":
            self._await_pod(stack, server)
        else:
            self._await_entrance(host, inner)
        port = forward.port(self._place, stack, host, inner)
        certified = tuple(record.get("certified") or ())
        return Address(host=forward.LOOPBACK, port=port, root_certificate=root, fleeting=True, certified=certified)

    def instances(self, stack: str, redis: str) -> tuple[Address, ...]:
        """Return ports of this machine that lead to the instances of a Redis."""
        record = self._record(stack, redis)
        if (count := instances_of(record)) == 1:
            return super().instances(stack, redis)
        aims = (forward.pod(each.pod) for each in replicas.instances(redis, count))
        root = self.root_certificate(stack, record)
        ports = [forward.port(self._place, stack, aim, int(record["port"])) for aim in aims]
        return tuple(Address(host=forward.LOOPBACK, port=port, root_certificate=root, fleeting=True) for port in ports)

    def keep_users(self, stack: str, redis: str, rules: Mapping[str, str]) -> None:
        """Write them to the Secret from which an instance has them that is made anew."""
        if instances_of(self._record(stack, redis)) > 1:
            users.keep(self._cluster, stack, redis, rules)

    def parts(self, stack: str) -> tuple[Part, ...]:
        """Return the stack's parts as they are now, servers first, with those that are missing."""
        until = time.monotonic() + SECONDS_TO_LOOK_FAR
        found = workloads.look(self._cluster, stack)
        records = self._known_records(stack) if found else {}
        known = dict.fromkeys([*records, *(name for name in found if name != names.TOOLBOX)])
        return looked_at(
            until, known, records, lambda name: self._part(stack, name, records.get(name), found.get(name))
        )

    def start(self, stack: str, parts: Sequence[str] = (), *, new_port: bool = False) -> tuple[str, ...]:  # noqa: ARG002
        """Have workloads run a pod that run none, the toolbox first, and wait until they answer; say which do not.

        That is no error: an `up` may mend it, with more memory for one thing. What no `up` has seen yet, as another tool applied it, waits for
        its Secret, and is waited for only where it is named.
        """
        found = workloads.look(self._cluster, stack)
        if not found and not parts:
            return ()
        chosen = _chosen(found, stack, parts)
        records = self._known_records(stack)
        with contextlib.suppress(KeyError):
            workloads.scale(self._cluster, found[names.TOOLBOX], 1)
        for seen in sorted(chosen, key=lambda each: rank(kind_of(each.part, records.get(each.part)))):
            workloads.scale(self._cluster, seen, 1)
            troubles.renew(self._cluster, seen)
            troubles.hasten(self._cluster, seen)
        poolers.wake(self._cluster, stack, [seen.part for seen in chosen if seen.instances])
        if not parts:
            runs.suspend(self._cluster, stack, suspended=False)
        known = [seen for seen in chosen if parts or seen.part in records]
        return tuple(self._await(stack, [seen for seen in [*_toolbox(found), *known] if not seen.ready], records))

    def is_harmed(self, stack: str, parts: Sequence[str], *, new_port: bool) -> bool:  # noqa: ARG002
        """Say whether an object of the stack is missing; no port of a machine is taken, so none can be another's."""
        return harm.is_harmed(self._place, stack)

    def stop(self, stack: str, parts: Sequence[str] = ()) -> None:
        """Have workloads run no pod, servers last, and wait until these are gone; with the last part the toolbox and the CronJobs."""
        found = workloads.look(self._cluster, stack)
        chosen = _chosen(found, stack, parts)
        records = self._known_records(stack)
        last = [seen for seen in chosen if kind_of(seen.part, records.get(seen.part)) == LAST]
        if not parts:
            runs.suspend(self._cluster, stack, suspended=True)
        poolers.rest(self._cluster, stack, [seen.part for seen in last if seen.instances])
        tiers = [[seen for seen in chosen if seen not in last], last]
        for tier in [*tiers, *([] if parts else [_toolbox(found)])]:
            self._stop(stack, tier)
        if not parts:
            toolbox.close(self._place, stack)

    def await_end(self, stack: str) -> None:
        """Wait until workloads that were deleted are gone with their pods; raises PlatformError where they are not in time."""
        until = time.monotonic() + SECONDS_TO_STOP
        while left := [seen for seen in workloads.look(self._cluster, stack).values() if seen.ends]:
            self._refuse_to_wait_after(until, left[0])
            time.sleep(POLL)

    def show_log(self, stack: str, part: str, lines: int, *, follow: bool) -> None:
        """Print what the cluster kept of the pod's output, and what comes until an interrupt."""
        record = self._known_records(stack).get(part)

        def pod() -> Json | None:
            seen = workloads.look(self._cluster, stack, part).get(part)
            master = self._master(stack, record) if record and seen and seen.ready else ""
            return next((each for each in seen.pods if each["metadata"]["name"] == master), seen.pod) if seen else None

        found = workloads.look(self._cluster, stack)
        if part != names.TOOLBOX:
            _chosen(found, stack, [part])
        if found[part].pod is None:
            msg = f"{part} has no pod, and so no log: {troubles.find(self._cluster, part, found[part])}"
            raise UnreachableError(msg)
        with contextlib.suppress(KeyboardInterrupt):
            logs.show(self._cluster, pod, lines, _write, follow=follow)

    def locate_inside(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return the part's name in the cluster; an application there has no file of ours to verify it by."""
        record = self._record(stack, server)
        host = f"{host_of(record, entrance, stack)}.{self._cluster.namespace}.svc"
        certified = tuple(record.get("certified") or ())
        return Address(host=host, port=int(record["port"]), encrypted=is_encrypted(record), certified=certified)

    def run_inside(self, stack: str, arguments: Sequence[str | Path], *, reads: bool = False) -> int:
        """Run the command in the toolbox."""
        from keelson.kubernetes import shell  # noqa: PLC0415

        return shell.run(self._place, stack, arguments, reads=reads)

    def backups(self, stack: str, services: Sequence[str], directory: Path | None) -> Overview:
        """Return what is known of the backups, and of the CronJobs that make them."""
        return runs.merged(self._cluster, stack, super().backups(stack, services, directory))

    def disks(self, stack: str, backups: Path | None, data: Sequence[Path]) -> Disks:  # noqa: ARG002
        """Return what is known of the volumes of the stack; how much is free is that of the backups."""
        found = Disks(**self._ask_toolbox(stack, "disks", directory=str(backups or "")))
        kept = self._holding_backups(stack, backups)
        return replace(found, data=kept, backups=kept, shared=volumes.share_a_disk(self._cluster, stack))

    def archives(self) -> NoReturn:
        """Refuse: there are none of ours."""
        msg = "servers in a cluster keep no archive that this command knows; back databases up one by one: `keelson backup run --all`"
        raise SettingsError(msg)

    def platform(self) -> str:
        """Return the cluster's version and address."""
        found = self._cluster
        version = (found.get("/version") or {}).get("gitVersion", "")
        return (
            f"Kubernetes {version} at {found.link.server} (context {found.link.context}, namespace {found.namespace})"
        )

    @property
    def _cluster(self) -> Cluster:
        return cluster.connect(self._place)

    @property
    def _where(self) -> str:
        return f"in namespace {self._cluster.namespace} of the cluster {self._cluster.name}"

    def _ask(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        return state.ask(self._place, stack, operation, **arguments)

    def _ask_toolbox(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401
        return toolbox.ask(self._place, stack, operation, **arguments)

    def _ask_apart(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401
        return toolbox.ask_apart(self._place, stack, operation, **arguments)

    def _holding_backups(self, stack: str, directory: Path | None) -> str:
        where = f"the volume {names.BACKUPS} in namespace {self._cluster.namespace}"
        return f"{directory / stack} on {where}" if directory else where

    def _trouble(self, stack: str, part: str) -> Trouble | None:
        """Return what keeps a part from serving now."""
        return troubles.find(self._cluster, part, workloads.look(self._cluster, stack, part).get(part))

    def _hosts(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Return the instances of a Redis by their addresses; nothing where it has one."""
        count = instances_of(record)
        return replicas.addresses(self._cluster, record["name"], count) if count > 1 else {}

    def _lack(self, stack: str, record: Mapping[str, Any], seen: Seen) -> str:
        """Return what a Redis of several instances lacks that answers, and why; nothing where it lacks none."""
        if instances_of(record) == 1:
            return ""
        lack = lack_of(self, stack, record, self._hosts(record))
        found = (troubles.find(self._cluster, seen.part, each) for each in seen.all) if lack else ()
        return "; ".join([lack, *(str(each) for each in found if each)][:2])

    def _master(self, stack: str, record: Mapping[str, Any]) -> str:
        """Return the pod that is the master of several instances; nothing where none says so."""
        host = self._hosts(record).get(master_of(self, stack, record), "")
        every = replicas.instances(record["name"], instances_of(record))
        return next((each.pod for each in every if each.host == host), "")

    def _await_pod(self, stack: str, part: str) -> None:
        """Wait a while for a pod that comes; raises UnreachableError with the reason where none does."""
        until = time.monotonic() + SECONDS_TO_RESTART
        while found := self._trouble(stack, part):
            if found.lasts or time.monotonic() > until:
                msg = f"{part} does not answer: {found}"
                raise UnreachableError(msg)
            time.sleep(POLL)

    def _await_entrance(self, service: str, port: int) -> None:
        """Wait a while for a pod behind a Service; raises UnreachableError with the reason where none comes."""
        until = time.monotonic() + SECONDS_TO_RESTART
        while True:
            try:
                forward.find(self._cluster, service, port)
            except UnreachableError:
                if time.monotonic() > until:
                    raise
                time.sleep(POLL)
            else:
                return

    def _part(self, stack: str, name: str, record: Mapping[str, Any] | None, seen: Seen | None) -> Part:
        kind = kind_of(name, record)
        pod = seen.pod if seen else None
        if trouble := troubles.find(self._cluster, name, seen):
            starting = not trouble.lasts and _starts(pod)
            detail = str(trouble)
            return Part(name=name, kind=kind, running=trouble.runs, answering=False, starting=starting, detail=detail)
        fault = fault_of(self, stack, kind, name)
        if not fault:
            lack = troubles.lack(self._cluster, seen) or (self._lack(stack, record, seen) if record and seen else "")
            return Part(name=name, kind=kind, running=True, answering=True, degraded=bool(lack), detail=lack)
        told = "; ".join([fault, *troubles.history(pod), f"see `keelson logs {name}`"])
        return Part(name=name, kind=kind, running=True, answering=False, starting=_starts(pod), detail=told)

    def _await(self, stack: str, chosen: Sequence[Seen], records: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Wait until parts answer; return a sentence for each that does not."""
        until = time.monotonic() + SECONDS_TO_ANSWER

        def answers(part: str) -> str:
            kind = kind_of(part, records.get(part))
            while fault := self._fault(stack, part, kind, known=part in records):
                if time.monotonic() > until or self._hopeless(stack, part):
                    return f"{part} does not answer: {fault}"
                time.sleep(POLL)
            return ""

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [fault for fault in pool.map(answers, [seen.part for seen in chosen]) if fault]

    def _fault(self, stack: str, part: str, kind: str, *, known: bool) -> str:
        """Return why a part does not answer; one of which the registry does not know is asked for nothing."""
        if trouble := self._trouble(stack, part):
            return str(trouble)
        fault = fault_of(self, stack, kind, part) if known else ""
        return f"{fault}; see `keelson logs {part}`" if fault else ""

    def _hopeless(self, stack: str, part: str) -> bool:
        """Say whether a part's pod cannot be started, or ends again and again."""
        seen = workloads.look(self._cluster, stack, part).get(part)
        trouble = troubles.find(self._cluster, part, seen)
        if trouble is None or not trouble.lasts:
            return False
        return not trouble.runs or troubles.restarts(seen.pod if seen else None) >= RESTARTS

    def _stop(self, stack: str, tier: Sequence[Seen]) -> None:
        """Have parts run no pod, and wait until those that run are gone; raises PlatformError where one is not in time."""
        for seen in tier:
            workloads.scale(self._cluster, seen, 0)
        wanted = {seen.part for seen in tier if seen.path and seen.pods}
        until = time.monotonic() + SECONDS_TO_STOP
        while left := [
            each for each in workloads.look(self._cluster, stack).values() if each.part in wanted and each.pods
        ]:
            self._refuse_to_wait_after(until, left[0])
            time.sleep(POLL)

    def _refuse_to_wait_after(self, until: float, left: Seen) -> None:
        """Raise PlatformError where something of a part still is there at a time when it should be gone."""
        if time.monotonic() < until:
            return
        if left.pods:
            name = left.pods[0]["metadata"]["name"]
            held = ground.holding(left.pods[0])
            said, look = (
                f"pod {name} of {left.part} does not end{f': it {held}' if held else ''}",
                f"describe pod {name}",
            )
        else:
            kind, name = left.path.split("/")[-2:]
            said, look = f"{kind}/{name} {left.deletion}", f"describe {kind} {name}"
        msg = f"{said}; see `{self._cluster.kubectl(look)}`"
        raise PlatformError(msg)


def _chosen(found: Mapping[str, Seen], stack: str, parts: Sequence[str]) -> list[Seen]:
    return [found[name] for name in named_parts([name for name in found if name != names.TOOLBOX], stack, parts)]


def _toolbox(found: Mapping[str, Seen]) -> list[Seen]:
    return [found[names.TOOLBOX]] if names.TOOLBOX in found else []


def _starts(pod: Json | None) -> bool:
    """Say whether a pod's container was started a moment ago, and for the first time."""
    return pod is not None and troubles.age(pod) < SECONDS_TO_START and not troubles.restarts(pod)


def _write(block: bytes) -> None:
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
