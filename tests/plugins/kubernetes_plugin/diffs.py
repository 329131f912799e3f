"""What changed, and what of it replaces an object."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

from plugin.wire import UNKNOWN, Bag

from .objects import group_of, is_secret_kind

Path = tuple[str | int, ...]
MISSING = object()
PLAIN_STEP = re.compile(r'^[^."\[\]]+$')
STEPS = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|([^.\[\]]+)')

ALWAYS = ("metadata.name", "metadata.namespace")
SELECTOR = ("spec.selector",)
POD_SPEC = """
    affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks hostAliases hostIPC hostNetwork hostPID
    hostname imagePullSecrets nodeName nodeSelector overhead preemptionPolicy priority priorityClassName readinessGates
    restartPolicy runtimeClassName schedulerName securityContext serviceAccount serviceAccountName shareProcessNamespace
    subdomain terminationGracePeriodSeconds volumes
""".split()  # noqa: SIM905 - a table of names
CONTAINER = """
    args command env image imagePullPolicy lifecycle livenessProbe ports readinessProbe resources securityContext stdin
    stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir
""".split()  # noqa: SIM905 - a table of names
VOLUME_SOURCES = """
    awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk glusterfs hostPath
    iscsi local nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume
""".split()  # noqa: SIM905 - a table of names
REPLACES: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "DaemonSet"): SELECTOR,
    ("apps", "Deployment"): SELECTOR,
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
        *SELECTOR,
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.template", *SELECTOR),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
    ("", "PersistentVolume"): tuple(f"spec.{each}" for each in VOLUME_SOURCES),
    ("", "PersistentVolumeClaim"): ("spec.accessModes", "spec.storageClassName", "spec.volumeName", *SELECTOR),
    ("", "Pod"): (
        *(f"spec.{each}" for each in POD_SPEC),
        *(f"spec.{list_}[*].{each}" for list_ in ("containers", "initContainers") for each in CONTAINER),
    ),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Secret"): ("type",),
    ("", "Service"): ("spec.clusterIP",),
}


@dataclasses.dataclass(frozen=True)
class Change:
    """One place that differs."""

    path: Path
    was: Any
    becomes: Any

    def __str__(self) -> str:
        made = ""
        for step in self.path:
            if isinstance(step, int):
                made += f"[{step}]"
            elif PLAIN_STEP.match(step):
                made += f".{step}" if made else step
            else:
                made += f"[{json.dumps(step)}]"
        return made

    def touches(self, pattern: str) -> bool:
        """Tell whether the place, or one inside what it becomes, fits `spec.containers[*].image`."""
        wanted = steps(pattern)
        return _fits(self.path, wanted) and _reaches(self.becomes, wanted[len(self.path) :])


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[Change]:
    """Yield where the inputs differ from the live object; both have the same places if nothing changed."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(each for each in old if each not in new)]:
            yield from changes(old.get(key, MISSING), new.get(key, MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for at in range(max(len(old), len(new))):
            was, becomes = (each[at] if at < len(each) else MISSING for each in (old, new))
            yield from changes(was, becomes, (*path, at))
    elif old != new or new == UNKNOWN:
        yield Change(path, old, new)


def replaces(thing: Bag, *, mutable_secrets: bool, mutable_config: bool) -> tuple[str, ...]:
    """Return what replaces an object of this kind."""
    kind, fixed = thing.get("kind", ""), thing.get("immutable") is True
    if is_secret_kind(thing) and (fixed or not mutable_secrets):
        return (*ALWAYS, "type", "stringData", "data")
    if kind == "ConfigMap" and group_of(thing) == "" and (fixed or not mutable_config):
        return (*ALWAYS, "binaryData", "data")
    return (*ALWAYS, *REPLACES.get((group_of(thing), kind), ()))


def steps(path: str) -> Path:
    """Return the steps of a path in Pulumi's form."""
    found = STEPS.findall(path)
    return tuple(int(index) if index.isdigit() else quoted or index or word for quoted, index, word in found)


def is_ignored(change: Change, ignored: list[str]) -> bool:
    """Tell whether a place is below one of those to ignore."""
    return any(len(each) <= len(change.path) and _fits(each, change.path) for each in map(steps, ignored))


def _fits(one: Path, other: Path) -> bool:
    return all(mine == theirs or "*" in {mine, theirs} for mine, theirs in zip(one, other, strict=False))


def _reaches(value: Any, wanted: Path) -> bool:
    """Tell whether a value has such a place; a place itself is reached also where it is taken away."""
    if not wanted:
        return True
    step, rest = wanted[0], wanted[1:]
    if isinstance(value, list) and step == "*":
        return any(_reaches(each, rest) for each in value)
    return isinstance(value, dict) and step in value and _reaches(value[step], rest)
