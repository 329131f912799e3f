"""The users of services, kept for instances of a Redis that are made anew: Redis passes no users on to replicas."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from keelson.kubernetes import names, replicas
from keelson.kubernetes.cluster import Cluster

FILE = "services.acl"


def keep(cluster: Cluster, key: str, redis: str, rules: Mapping[str, str]) -> None:
    """Write what users may, by user, to the Secret that each instance mounts."""
    text = "".join(f"user {user} {rule}\n" for user, rule in rules.items())
    name = replicas.users(redis)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "labels": names.labels(key, redis) | names.told_of(key, "redis")},
        "data": {FILE: base64.b64encode(text.encode()).decode()},
    }
    cluster.apply(cluster.at("secrets", name), secret)


def drop(cluster: Cluster, redis: str) -> None:
    """Delete that Secret; one that is not there is fine."""
    cluster.delete(cluster.at("secrets", replicas.users(redis)))
