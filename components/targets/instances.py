"""A PostgreSQL server of several instances, as the `Cluster` that CloudNativePG makes it from; docs/test-cluster.md says why it is as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from keelson.containers import server
from keelson.containers.server import SHARED_MEMORY
from keelson.docker.images.traits import Traits
from keelson.kubernetes import barman, instances, names
from keelson.kubernetes.barman import UNUSED
from keelson.kubernetes.part import KubernetesSpec
from keelson.settings.limits import CPUS

Json = dict[str, Any]
NEXT = {"Mi": "Gi", "Gi": "Ti"}
LOCALE = {"localeProvider": "builtin", **dict.fromkeys(("builtinLocale", "localeCollate", "localeCType"), "C.UTF-8")}


def spec(wanted: KubernetesSpec, image: Traits, *, limits: Mapping[str, str], pull_secrets: Sequence[str]) -> Json:
    """Return a Cluster's spec.

    Args:
        wanted: the server; its settings say how many instances, how large their volumes, what is acknowledged.
        image: what the instances are made of.
        limits: of memory and processors of each, which are asked for too.
        pull_secrets: with which a node gets the image.
    """
    settings, labels = wanted.settings, names.labels(wanted.key, wanted.name)
    return {
        "instances": settings["instances"],
        "imageName": image.reference,
        "imagePullPolicy": "IfNotPresent",
        **({"imagePullSecrets": [{"name": name} for name in pull_secrets]} if pull_secrets else {}),
        "postgresUID": image.uid,
        "postgresGID": image.gid,
        "inheritedMetadata": {"labels": labels | names.told_of(wanted.key, "server")},
        "enableSuperuserAccess": True,
        "superuserSecret": {"name": names.superuser(wanted.name)},
        "certificates": dict.fromkeys(("serverCASecret", "serverTLSSecret"), names.certificate(wanted.name)),
        "bootstrap": {"initdb": _initdb()},
        "postgresql": {
            "shared_preload_libraries": instances.preloaded(wanted),
            **_synchronous(int(settings["synchronous"])),
            "pg_hba": list(server.rules(wanted)),  # the last rejects: the operator's own last line lets in without TLS
            "parameters": instances.parameters(wanted, int(settings["memory"])),
        },
        **_failing_over(),
        "storage": _volume(str(settings["storage"]), str(settings["storage_class"])),
        "walStorage": _volume(str(settings["wal_storage"]), str(settings["storage_class"])),
        "resources": _resources(limits),
        "ephemeralVolumesSizeLimit": {"shm": f"{SHARED_MEMORY}Mi"},
        **({"plugins": barman.plugins(wanted.name, archive)} if (archive := settings.get("archive")) else {}),
        **_apart(wanted),
    }


def _initdb() -> Json:
    """Return how the first instance's data are made; what is in them beside the database `postgres` is made by our providers."""
    return {
        "database": "postgres",  # there already, so none is made
        "owner": UNUSED,
        "postInitSQL": [f"ALTER ROLE {UNUSED} NOLOGIN"],
        "encoding": "UTF8",
        "dataChecksums": True,
        **LOCALE,
    }


def _synchronous(number: int) -> Json:
    """Return that a commit is acknowledged when so many replicas have it, and only one that surely has all is promoted."""
    if not number:
        return {}
    return {"synchronous": {"method": "any", "number": number, "dataDurability": "required", "failoverQuorum": True}}


def _failing_over() -> Json:
    """Return what makes another instance take over within seconds."""
    return {
        "smartShutdownTimeout": 0,
        "primaryLease": {"leaseDurationSeconds": 3, "renewDeadlineSeconds": 2, "retryPeriodSeconds": 1},
        "probes": {
            "startup": {"periodSeconds": 1, "failureThreshold": 3600},
            "readiness": {"periodSeconds": 2},
        },
        "primaryUpdateStrategy": "unsupervised",
        "primaryUpdateMethod": "switchover",
        "enablePDB": True,
    }


def _resources(limits: Mapping[str, str]) -> Json:
    wanted = {resource: as_kept(quantity) for resource, quantity in {"cpu": f"{CPUS:g}", **limits}.items()}
    return {"requests": wanted, "limits": {resource: wanted[resource] for resource in limits}}


def _volume(size: str, storage_class: str) -> Json:
    return {"size": as_kept(size), **({"storageClass": storage_class} if storage_class else {})}


def as_kept(quantity: str) -> str:
    """Return a quantity as the operator writes it back: in the largest unit that leaves a whole number. Any other would be changed for ever."""
    binary = re.fullmatch(r"(\d+)(Mi|Gi)", quantity)
    if not binary:
        return quantity if quantity.isdigit() or quantity[-1].isalpha() else f"{round(float(quantity) * 1000)}m"
    number, unit = int(binary[1]), binary[2]
    return as_kept(f"{number // 1024}{NEXT[unit]}") if number % 1024 == 0 else quantity


def _apart(wanted: KubernetesSpec) -> Json:
    """Return that instances run on other nodes, and in other zones, where there are such."""
    chosen = {"matchLabels": {names.CLUSTER_LABEL: wanted.service}}
    zones = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    return {
        "affinity": {
            "enablePodAntiAffinity": True,
            "podAntiAffinityType": "preferred",
            "topologyKey": "kubernetes.io/hostname",
        },
        "topologySpreadConstraints": [zones | {"labelSelector": chosen}],
    }
