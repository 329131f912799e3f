"""Pods as the API has them, from what is known of a part's container."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from keelson.containers.model import ContainerSettings
from keelson.containers.toolbox import NAME as TOOLBOX
from keelson.docker.images.traits import Traits
from keelson.kubernetes import names
from keelson.settings.limits import CPUS

READABLE = 0o440  # for the part's group alone
SECONDS_OF_A_START = 60
PERIOD = 5
Json = dict[str, Any]


def pod(  # noqa: PLR0913 - what a pod is made of
    key: str,
    part: str,
    image: Traits,
    settings: ContainerSettings,
    *,
    limits: Mapping[str, str],
    port: int = 0,
    pull_secrets: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
) -> Json:
    """Return a pod's template: an account of its part's own, no rights, no token, a root that cannot be written, and what its kind says.

    Args:
        key: the stack's key.
        part: whose pod it is.
        image: what its container is made of.
        settings: what is particular to its container.
        limits: of memory and processors, which are asked for too.
        port: on which it listens; 0 for none.
        pull_secrets: with which the node gets the image.
        labels: beside the stack's own.
    """
    return {
        "metadata": {"labels": names.labels(key, part) | dict(labels or {})},
        "spec": {
            "serviceAccountName": names.of(part),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": image.uid,
                "runAsGroup": image.gid,
                "fsGroup": image.gid,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": settings.stop_timeout,
            "containers": [_container(part, image, settings, limits, port)],
            "volumes": _volumes(part, settings),
            **({"affinity": _beside(key, TOOLBOX)} if "backups" in settings.volumes and part != TOOLBOX else {}),
            **({"imagePullSecrets": [{"name": name} for name in pull_secrets]} if pull_secrets else {}),
        },
    }


def digest(template: Json) -> str:
    """Return what changes with a template, and so with the pods that are made of it."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]


def _beside(key: str, part: str) -> Json:
    """Return the affinity of a pod that must run on the node of another one, whose volume it shares."""
    term = {"labelSelector": {"matchLabels": names.labels(key, part)}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _container(part: str, image: Traits, settings: ContainerSettings, limits: Mapping[str, str], port: int) -> Json:
    return {
        "name": names.of(part),
        "image": image.reference,
        "imagePullPolicy": "IfNotPresent",
        "args": list(settings.command),
        "env": [{"name": name, "value": value} for name, value in sorted(settings.environment.items())],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], **({"add": list(image.capabilities)} if image.capabilities else {})},
        },
        "resources": {"requests": {"cpu": f"{CPUS:g}", **limits}, "limits": dict(limits)},
        "volumeMounts": _mounts(settings),
        **({"ports": [{"name": "main", "containerPort": port}]} if port else {}),
        **_probes(settings, port),
        **_ending(settings),
    }


def _probes(settings: ContainerSettings, port: int) -> Json:
    """Return how it is seen that it has started, serves and lives; the first and the last ask for no more than a connection.

    A server that replays its log takes connections before it answers, and must not be killed for that.
    """
    check = settings.healthcheck
    if check is None or not port:
        return {}
    connects: Json = {"tcpSocket": {"port": port}, "timeoutSeconds": check.timeout}
    starts = max(check.start_period, SECONDS_OF_A_START) // PERIOD
    return {
        "startupProbe": connects | {"periodSeconds": PERIOD, "failureThreshold": starts},
        "readinessProbe": {
            **(
                {"httpGet": {"path": check.page, "port": port}}
                if check.page
                else {"exec": {"command": list(check.command)}}
            ),
            "periodSeconds": PERIOD,
            "timeoutSeconds": check.timeout,
            "failureThreshold": check.retries,
        },
        "livenessProbe": connects | {"periodSeconds": 20, "failureThreshold": 6},
    }


def _ending(settings: ContainerSettings) -> Json:
    """Return what is done before the usual signal, where another one ends it: an image may be made for the usual one."""
    if settings.stop_signal == "SIGTERM":
        return {}
    number = settings.stop_signal.removeprefix("SIG")
    script = f"kill -{number} 1; while kill -0 1 2>/dev/null; do sleep 0.1; done"
    return {"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", script]}}}}


def _mounts(settings: ContainerSettings) -> list[Json]:
    volumes = [
        {"name": role, "mountPath": mount.path, **({"readOnly": True} if mount.read_only else {})}
        for role, mount in settings.volumes.items()
    ]
    memory = [{"name": f"memory-{number}", "mountPath": path} for number, path in enumerate(settings.memory)]
    return [*volumes, *memory, {"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 - inside the container


def _volumes(part: str, settings: ContainerSettings) -> list[Json]:
    sources: dict[str, Json] = {
        "data": {"persistentVolumeClaim": {"claimName": names.data(part)}},
        "backups": {"persistentVolumeClaim": {"claimName": names.BACKUPS}},
        "config": {"secret": {"secretName": names.config(part), "defaultMode": READABLE}},
        "secret": {"secret": {"secretName": names.STATE, "defaultMode": READABLE}},
    }
    memory = [_memory(f"memory-{number}", each.megabytes) for number, each in enumerate(settings.memory.values())]
    return [
        *({"name": role} | sources[role] for role in settings.volumes),
        *memory,
        _memory("shm", settings.shm_size),
    ]


def _memory(name: str, megabytes: int) -> Json:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": f"{megabytes}Mi"}}
