"""What a preview found, as the plain objects that a GitOps tool applies, and what else a stack is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keelson.errors import PlatformError
from keelson.kubernetes import ground, harm, names, rendering
from keelson.kubernetes.cluster import Json
from keelson.wording import counted

if TYPE_CHECKING:
    from keelson.preview.events import Events, Step

PLUGINS = "kubernetes:"  # the types of the plugin's resources begin so
OWN = "pulumi-python:dynamic/keelson:"  # and those of ours
NOT_IN_CLEAR = "[secret]"  # what the engine writes in place of a secret
NOT_YET_KNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # and of what only an update will know
FIRST = (
    "Namespace",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "PersistentVolumeClaim",
    "NetworkPolicy",
    "Service",
)
KEPT = {  # by Argo CD and by Flux, when its file is gone: data would go with it
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}


@dataclass(frozen=True)
class Rest:
    """What plain YAML cannot hold: of what, and the names."""

    what: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Rendering:
    """A stack as objects, in the order in which a cluster can take them; and what `up` alone can make."""

    manifests: tuple[Json, ...]
    rest: tuple[Rest, ...]


def rendering_of(events: Events) -> Rendering:
    """Return what a preview found as objects.

    Raises:
        PlatformError: an object has what must not, or cannot yet, stand in a file; or two would have one file.
    """
    steps = [step for step in events.steps if step.op != "delete"]
    found = sorted(_manifests(steps), key=_rank)
    _refuse_hidden(found)
    _refuse_twins(found)
    return Rendering(tuple(found), tuple(_rest(steps)))


def _manifests(steps: Iterable[Step]) -> Iterator[Json]:
    """Give each object as it is applied."""
    for step in steps:
        inputs: Any = step.inputs
        if step.token.startswith(PLUGINS) and inputs.get("kind") not in {None, "Secret"}:
            yield rendering.marked({name: value for name, value in inputs.items() if not name.startswith("__")})
        elif step.token == f"{OWN}KubernetesApplied":
            yield rendering.marked(inputs["manifest"])
        elif step.token == f"{OWN}KubernetesGround":
            yield _kept(rendering.marked(ground.namespace(inputs["place"], inputs["key"])))
        elif step.token == f"{OWN}KubernetesVolume":
            made = rendering.marked(ground.claim_of(inputs))
            yield _kept(made) if step.new.get("retainOnDelete") else made


def _kept(manifest: Json) -> Json:
    """Return an object that outlives its file."""
    about = manifest["metadata"]
    return manifest | {"metadata": about | {"annotations": about["annotations"] | KEPT}}


def _rank(manifest: Json) -> tuple[int, str]:
    order = FIRST.index(manifest["kind"]) if manifest["kind"] in FIRST else len(FIRST)
    return order, rendering.stem(manifest)


def _refuse_hidden(manifests: Iterable[Json]) -> None:
    for manifest in manifests:
        for path, text in _texts(manifest, ""):
            if NOT_IN_CLEAR in text:
                msg = f"{path} of the {rendering.stem(manifest)} is a secret, which stands in no file; take it out of the settings that make it"
                raise PlatformError(msg)
            if NOT_YET_KNOWN in text:
                msg = f"{path} of the {rendering.stem(manifest)} is known only after an update; run `keelson up` first"
                raise PlatformError(msg)


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, f"{path}[{number}]")
    elif isinstance(value, str):
        yield path, value


def _refuse_twins(manifests: Sequence[Json]) -> None:
    known: set[str] = set()
    for manifest in manifests:
        if (file := rendering.file_of(manifest)) in known:
            msg = f"two objects would be written to {file}; give one of them another name"
            raise PlatformError(msg)
        known.add(file)


_RESTS = {  # what stands for a type of resource, in the order of a reader's questions
    "KubernetesIdentity": "Secret of the stack's passwords, certificates and jobs",
    "KubernetesFiles": "Secrets that the parts' pods mount",
    "KubernetesApplication": "Secrets of applications",
    "Secret": "other Secrets",
    "Roles": "roles",
    "Database": "databases",
    "Schema": "migrations",
    "Seeds": "seeds",
    "Policies": "TimescaleDB's policies",
    "Access": "grants",
    "RedisUsers": "users of Redis",
    "BackupJob": "what the CronJobs back up, and how long it is kept",
    "DrillJob": "what the CronJobs drill, and with which checks",
}
_SAID_ELSEWHERE = frozenset(
    {
        "KubernetesApplied",
        "KubernetesGround",
        "KubernetesVolume",
        "KubernetesEntry",
        "KubernetesStackSettings",
        "KubernetesPart",
    }
)


def _rest(steps: Iterable[Step]) -> Iterator[Rest]:
    found: dict[str, list[str]] = {}
    for step in steps:
        ours = step.token.startswith(OWN) and step.type not in _SAID_ELSEWHERE and not _mounts_nothing(step)
        if ours or (step.token.startswith(PLUGINS) and step.inputs.get("kind") == "Secret"):
            found.setdefault(step.type, []).append(_name(step))
    order = [*_RESTS, *sorted(found.keys() - _RESTS)]
    for kind in order:
        if kind in found:
            yield Rest(_RESTS.get(kind, kind), tuple(sorted(found[kind])))


def _mounts_nothing(step: Step) -> bool:
    """Say whether a resource stands for a part that has no Secret of its own."""
    return step.type == "KubernetesFiles" and step.inputs.get("kind") in harm.WITHOUT_DATA


def _name(step: Step) -> str:
    """Return what a reader knows a resource by."""
    inputs: Any = step.inputs
    if step.type == "KubernetesIdentity":
        return names.STATE
    if step.type == "KubernetesFiles":
        return names.config(inputs["name"])
    if step.type == "KubernetesApplication":
        return f"{inputs['namespace']}/{names.of(inputs['service'])}-database"
    if step.type in {"Schema", "Seeds"}:
        return f"{step.name.rpartition('-')[0]} ({counted(len(inputs.get('files') or ()), 'file')})"
    return step.name.rpartition("-")[0] or step.name
