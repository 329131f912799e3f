"""A part of a stack as a pod: what is written before its workload is made, and what is done once that runs.

What is the same for all stands here (passwords, registry, files, waiting for an answer); what is particular to one kind in
`keelson.kubernetes.kinds`. The workload itself is the engine's, made between the two.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import psycopg

from keelson.containers import digest, kinds
from keelson.containers.model import CONFIG, ContainerSettings, PartSpec
from keelson.endpoint import ADMINISTRATOR, Reference, resolve
from keelson.errors import KeelsonError, ServerError, UnreachableError
from keelson.kubernetes import cluster, files, names, state, toolbox, troubles, users, workloads
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.files import Kept
from keelson.kubernetes.streams import ExecStream
from keelson.kubernetes.troubles import Trouble
from keelson.local.registry import DaemonRecord, ServerRecord
from keelson.local.root import telling

REFRESH = "keelson.dev/files"  # an annotation: when a pod changes, the kubelet looks at its volumes at once
SECONDS_TO_REFRESH = 150.0  # else at the latest every minute and a half
SECONDS_TO_LOOK = 2.0  # between two looks at why a pod does not run
SECONDS_OF_TROUBLE = 60.0  # that is not expected to pass, and may yet: a registry comes back, a node is added
POLL = 0.25
SERVERS = frozenset({"server", "cluster"})  # kinds: of one pod, and of several instances that an operator keeps


@dataclass(frozen=True)
class KubernetesSpec(PartSpec):
    """One part of a stack in a cluster."""

    @property
    def service(self) -> str:
        """The name of its objects."""
        return names.of(self.name)

    @property
    def known_as(self) -> tuple[str, ...]:
        """By which names its clients reach it, from its own namespace and from others."""
        return names.dns(self.service, cluster.find(self.place).namespace)

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """By any: NetworkPolicies decide who asks."""
        return None

    @property
    def found(self) -> Cluster:
        """The cluster and namespace."""
        return cluster.connect(self.place)

    def host_of(self, part: str) -> str:
        """Return by which name a part of the stack is reached."""
        return names.of(part)


class Kind(kinds.Kind, Protocol):
    """What is particular to one kind of part, in a cluster."""

    def places(self, spec: KubernetesSpec) -> tuple[Kept, ...]:
        """Return the Secrets that its files are written to."""

    def services(self, spec: KubernetesSpec) -> dict[str, str]:
        """Return by which Services it is reached, as fields of its record."""

    def refuse(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Raise KeelsonError where its settings cannot become other ones; asks nobody."""

    def rest(self, spec: KubernetesSpec) -> None:
        """End what runs on though its workload goes, as its data stay."""

    def bring(self, spec: KubernetesSpec) -> tuple[str, ...]:
        """Wait until its pod answers, and bring it to what its files say now; restart it only if it must be.

        Returns what the user should know.

        Raises:
            ServerError: it does not answer; the sentence says why.
        """


def kind(name: str) -> Kind:
    """Return the kind `name`. A kind is imported when it is used: what one needs is not loaded for the others."""
    from keelson.kubernetes import kinds as ours  # noqa: PLC0415

    return ours.BY_NAME[name]()


def check(spec: KubernetesSpec, old: Mapping[str, Any] | None = None) -> None:
    """Check a specification, and that `old` settings can become its own, without the cluster; raises KeelsonError."""
    kind(spec.kind).check(spec)
    if old:
        kind(spec.kind).refuse(old, spec.settings)


def container(spec: KubernetesSpec) -> ContainerSettings:
    """Return what a part's container is like; asks no cluster."""
    return kind(spec.kind).container(spec)


def write_files(spec: KubernetesSpec, chosen_passwords: Mapping[str, str]) -> str:
    """Keep or make the passwords, record the part, and write its files to a Secret if they differ; return their digest.

    Args:
        spec: what it shall be.
        chosen_passwords: those that the user chose, by login; others are kept, or made.

    Raises:
        KeelsonError: the settings cannot work, or the cluster refuses; nothing was written.
    """
    of_kind = kind(spec.kind)
    of_kind.check(spec)
    for login in sorted({*of_kind.logins, *chosen_passwords}):
        chosen = chosen_passwords.get(login)
        state.ask(spec.place, spec.key, "ensure_password", server=spec.name, role=login, chosen=chosen)
    wanted = of_kind.files(spec)
    _record(spec, of_kind)
    if not wanted:
        return ""
    places = of_kind.places(spec)
    old = texts(spec).get(digest.FILE, "")
    new = digest.beside(wanted, old)
    if new != old:
        labels = names.labels(spec.key, spec.name) | names.told_of(spec.key, spec.kind)
        files.write(spec.found, places, labels, {**wanted, digest.FILE: new})
    return digest.told(new)


def prepare(spec: KubernetesSpec) -> None:
    """Before another specification is written down, see that nothing is lost by it: fewer instances; raises ServerError."""
    from keelson.kubernetes import handover  # noqa: PLC0415 - it stands on this module

    if spec.kind == "redis":
        handover.prepare(spec)


def written(spec: KubernetesSpec) -> str:
    """Return the digest of the files as it lies beside them; empty where they are missing."""
    return digest.told(texts(spec).get(digest.FILE, ""))


def bring(spec: KubernetesSpec) -> tuple[str, ...]:
    """Wait for the running pod, and bring it up to date; return what is to be said; raises ServerError."""
    return kind(spec.kind).bring(spec)


def try_parameters(spec: KubernetesSpec) -> tuple[str, ...]:
    """Let PostgreSQL read a server's parameters before it is given them, as a wrong one keeps it from starting again; say if it cannot.

    Raises:
        SettingsError: it does not understand one.
    """
    parameters = {name: str(value) for name, value in spec.settings.get("parameters", {}).items()}
    if spec.kind not in SERVERS or not parameters:
        return ()
    given = {"server": spec.name, "parameters": parameters, "timescale": bool(spec.settings.get("timescaledb"))}
    given |= {"pgaudit": True} if spec.settings.get("pgaudit") else {}
    try:
        toolbox.ask(spec.place, spec.key, "check_parameters", **given)
    except UnreachableError as fault:
        return (f"its parameters were not tried before: {fault}",)
    return ()


def rest(spec: KubernetesSpec) -> None:
    """End what runs on though its workload goes, as its data stay; raises PlatformError where it does not end in time."""
    kind(spec.kind).rest(spec)


def forget(spec: KubernetesSpec) -> None:
    """Remove its Secrets, and strike it out of the registry, with its passwords where its data go too."""
    of_kind = kind(spec.kind)
    if not spec.data_stays:
        files.drop(spec.found, of_kind.places(spec))
    if spec.kind == "redis":
        users.drop(spec.found, spec.name)
    with contextlib.suppress(UnreachableError):
        state.ask(spec.place, spec.key, "forget", name=spec.name)
        if not spec.data_stays:
            state.ask(spec.place, spec.key, "forget_passwords", server=spec.name)


def pod_of(spec: KubernetesSpec, pod: str = "") -> Json | None:
    """Return the newest pod of a part that is not about to end, ready or not; of several instances the one that takes writes; that of a name where one is named."""
    if pod:
        known = spec.found.get(spec.found.at("pods", pod))
        found = [known] if known else []
    else:
        found = spec.found.items(spec.found.at("pods"), names.selector(spec.key, spec.name))
    living = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
    return max(living, key=workloads.precedence, default=None)


def runs(pod: Json | None) -> bool:
    """Say whether a container of a pod runs, ready or not."""
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or []
    return any("running" in (each.get("state") or {}) for each in statuses)


def wait(spec: KubernetesSpec, fault: Callable[[], str], seconds: float) -> None:
    """Wait until there is no fault any more; a pod that cannot run is made anew where its template has been corrected.

    Raises:
        ServerError: it did not answer in time, or its pod cannot run and does not come to; the sentence says why.
    """
    begun, looked, trouble = time.monotonic(), 0.0, None
    while said := _asked(fault):
        now = time.monotonic()
        if now - looked > SECONDS_TO_LOOK:
            looked, trouble = now, _trouble(spec)
        stuck = trouble is not None and trouble.lasts and (trouble.wanted or now - begun > SECONDS_OF_TROUBLE)
        if stuck or now - begun > seconds:
            why = f"{trouble.said}; {trouble.step}" if trouble else f"{said}; see `keelson logs {spec.name}`"
            msg = f"{spec.name} does not answer: {why}"
            raise ServerError(msg)
        time.sleep(POLL)


def _trouble(spec: KubernetesSpec) -> Trouble | None:
    """Return what keeps the part's pod from running, after what can be done about it."""
    seen = workloads.look(spec.found, spec.key, spec.name).get(spec.name)
    if seen is None:
        return None
    troubles.renew(spec.found, seen)
    return next(filter(None, (troubles.find(spec.found, spec.name, each) for each in seen.all)), None)


def run(spec: KubernetesSpec, *command: str, given: str = "", pod: str = "") -> str:
    """Run a small command in a part's container, and return its output; raises ServerError when it fails."""
    found = pod_of(spec, pod)
    if found is None:
        msg = f"{spec.name} has no pod; run `keelson start {spec.name}`"
        raise ServerError(msg)
    stream = ExecStream(spec.found, found, command)
    try:
        if given:
            stream.write(given.encode())
        stream.end_input()
        said = b"".join(iter(stream.read, b"")).decode(errors="replace")
        if stream.status():
            reason = telling(stream.said.decode(errors="replace").splitlines())
            msg = f"a command in the pod of {spec.name} failed ({reason}); see `keelson logs {spec.name}`"
            raise ServerError(msg)
    finally:
        stream.close()
    return said


def await_files(spec: KubernetesSpec, pod: str = "") -> None:
    """Wait until the pod, or the one that is named, sees the files as they were written, and hurry the kubelet."""
    wanted = texts(spec).get(digest.FILE, "")

    def fault() -> str:
        found = pod_of(spec, pod)
        if found is None:
            return "it has no pod"
        if (found["metadata"].get("annotations") or {}).get(REFRESH) != digest.told(wanted)[:16]:
            path = spec.found.at("pods", found["metadata"]["name"])
            spec.found.patch(path, {"metadata": {"annotations": {REFRESH: digest.told(wanted)[:16]}}})
        return "" if run(spec, "cat", f"{CONFIG}/{digest.FILE}", pod=pod) == wanted else "it does not see its files yet"

    wait(spec, fault, SECONDS_TO_REFRESH)


def restart(spec: KubernetesSpec, seconds: int, pod: str = "") -> None:
    """Have the pod made anew, or the one that is named, after an end that may take so many seconds, and wait until the old one is gone."""
    if (found := pod_of(spec, pod)) is None:
        return
    path = spec.found.at("pods", found["metadata"]["name"])
    spec.found.delete(path)
    until = time.monotonic() + seconds + SECONDS_TO_REFRESH
    while (left := spec.found.get(path)) and left["metadata"]["uid"] == found["metadata"]["uid"]:
        if time.monotonic() > until:
            look = spec.found.kubectl(f"describe pod {found['metadata']['name']}")
            msg = f"the pod of {spec.name} does not end; see `{look}`"
            raise ServerError(msg)
        time.sleep(POLL)


def administrator(spec: PartSpec) -> Reference:
    """Return how a server is named to its administrator."""
    return Reference(stack=spec.key, target=spec.place, server=spec.name, role=ADMINISTRATOR)


def connect(spec: PartSpec) -> psycopg.Connection:
    """Connect as a server's administrator, without waiting for it; raises UnreachableError."""
    return resolve(administrator(spec)).connect(patience=0)


def _asked(fault: Callable[[], str]) -> str:
    try:
        return fault()
    except KeelsonError as found:
        return str(found)


def texts(spec: KubernetesSpec) -> dict[str, str]:
    """Return the files of a part as they were written, by path."""
    return files.read(spec.found, kind(spec.kind).places(spec))


def _record(spec: KubernetesSpec, of_kind: Kind) -> None:
    """Write down where the part answers in its namespace."""
    common: dict[str, Any] = {"name": spec.name, "port": of_kind.listens_on, **of_kind.services(spec)}
    record: ServerRecord | DaemonRecord
    if spec.kind in SERVERS:
        parameters = {name: str(value) for name, value in spec.settings.get("parameters", {}).items()}
        timescale, version = bool(spec.settings.get("timescaledb")), str(spec.settings.get("version", ""))
        certified = tuple(spec.settings.get("certified") or ())
        record = ServerRecord(
            **common, version_label=version, timescale=timescale, parameters=parameters, certified=certified
        )
    else:
        record = DaemonRecord(**common, kind=spec.kind, settings=dict(spec.settings))
    operation = "record_server" if spec.kind in SERVERS else "record_daemon"
    state.ask(spec.place, spec.key, operation, stack_id=spec.stack_id, record=asdict(record))
