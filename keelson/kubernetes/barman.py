"""What archives a server of several instances: CloudNativePG's Barman Cloud Plugin, which runs beside each instance and sends to a bucket.

The operator's own way of before (`spec.backup.barmanObjectStore`) ends with its version 1.31, so the plugin is the only one that is offered. All
that is particular to it stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keelson.backups.terms import Bucket
from keelson.kubernetes import names
from keelson.kubernetes.workloads import OPERATORS_API
from keelson.settings.limits import BESIDE_ARCHIVED, CPUS

Json = dict[str, Any]
PLUGIN = "barman-cloud.cloudnative-pg.io"
API, KIND, STORES = "barmancloud.cnpg.io/v1", "ObjectStore", "objectstores"
BACKUPS = "backups"  # of the operator's API
ACCESS_KEY, SECRET_KEY, REGION = "ACCESS_KEY_ID", "ACCESS_SECRET_KEY", "REGION"  # of the Secret
EVERY_FILE = "60s"  # after which a file of the log that something was written in is sent
UNUSED = "keelson_unused"  # the operator wants an owner; its password lies in a Secret, so it may not log in
ORIGIN = "origin"  # what a Cluster calls the one that it is restored from


def store(bucket: Bucket, key: str, server: str, *, encryption: str, days: int) -> Json:
    """Return the spec of an ObjectStore.

    Args:
        bucket: where the archive goes.
        key: the stack's key.
        server: whose archive it is.
        encryption: what the storage is asked to encrypt with; empty: as the bucket does by itself.
        days: back to when can be restored.
    """
    secret = names.archive(server)
    asked = {"encryption": encryption} if encryption else {}
    path = "/".join(filter(None, (bucket.name, bucket.prefix, "physical", key, server)))
    quantities = {"cpu": f"{round(CPUS * 1000)}m", "memory": BESIDE_ARCHIVED}
    return {
        "configuration": {
            "destinationPath": f"s3://{path}",
            **({"endpointURL": bucket.endpoint} if bucket.endpoint else {}),
            "s3Credentials": {
                "accessKeyId": {"name": secret, "key": ACCESS_KEY},
                "secretAccessKey": {"name": secret, "key": SECRET_KEY},
                "region": {"name": secret, "key": REGION},
            },
            "wal": {"compression": "zstd", "maxParallel": 4, **asked},
            "data": {"compression": "lz4", "immediateCheckpoint": True, **asked},
        },
        "retentionPolicy": f"{days}d",
        "instanceSidecarConfiguration": {"resources": {"requests": quantities, "limits": {"memory": BESIDE_ARCHIVED}}},
    }


def plugins(server: str, archive: str) -> list[Json]:
    """Return what a Cluster that is archived says of it."""
    where = _where(server, archive_of(server, archive))
    return [{"name": PLUGIN, "enabled": True, "isWALArchiver": True, "parameters": where}]


def recovery(server: str, name: str, moment: str) -> Json:
    """Return what a Cluster says that is made of the archive `name` of a server; an empty moment is as far as that goes."""
    target = {"recoveryTarget": {"targetTime": moment}} if moment else {}
    started = {"database": "postgres", "owner": UNUSED}  # as the live one's, so that nothing is made in it
    return {
        "bootstrap": {"recovery": {"source": ORIGIN, **started, **target}},
        "externalClusters": [{"name": ORIGIN, "plugin": {"name": PLUGIN, "parameters": _where(server, name)}}],
    }


def backup(server: str) -> Json:
    """Return the spec of a Backup."""
    return {"cluster": {"name": names.of(server)}, "method": "plugin", "pluginConfiguration": {"name": PLUGIN}}


def schedule(server: str, five_fields: str) -> Json:
    """Return the spec of a ScheduledBackup, whose first field are seconds. What it made stays for as long as the Cluster."""
    made = {"backupOwnerReference": "cluster", "immediate": True, "suspend": False}
    return {**backup(server), **made, "schedule": f"0 {five_fields}"}


def archive_of(server: str, archive: str) -> str:
    """Return by which name the archive of a server lies in its store."""
    return f"{names.of(server)}-{archive}"


def windows(stored: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, str]]:
    """Return what an ObjectStore tells of each archive: its first moment, and its last backups, those that failed too."""
    told: Mapping[str, Mapping[str, str]] = ((stored or {}).get("status") or {}).get("serverRecoveryWindow") or {}
    return told


def _where(server: str, name: str) -> Json:
    return {"barmanObjectName": names.archive(server), "serverName": name}


SCHEDULED = {"api_version": OPERATORS_API, "kind": "ScheduledBackup"}
STORED = {"api_version": API, "kind": KIND}
