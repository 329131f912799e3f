"""Where a stack's volumes lie, as far as the cluster says so."""

from __future__ import annotations

from contextlib import suppress

from keelson.kubernetes import names
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ForbiddenError

OF_A_NODE = ("hostPath", "local")


def share_a_disk(cluster: Cluster, key: str) -> bool:
    """Say whether the volume of the backups lies on the same node's disk as one of the data; volumes of other kinds lie apart.

    Who may not look at a cluster's volumes learns nothing, and is told that they lie apart.
    """
    chosen = f"{names.STACK_LABEL}={names.stack_label(key)}"
    claims = {each["metadata"]["name"]: each for each in cluster.items(cluster.at("persistentvolumeclaims"), chosen)}
    with suppress(ForbiddenError):
        backups = _node(cluster, claims.pop(names.BACKUPS, {}))
        return bool(backups) and any(_node(cluster, claim) == backups for claim in claims.values())
    return False


def _node(cluster: Cluster, claim: Json) -> str:
    """Return on which nodes a claim's volume is a directory; nothing where it is none."""
    name = (claim.get("spec") or {}).get("volumeName")
    volume = (cluster.get(f"/api/v1/persistentvolumes/{name}") if name else None) or {"spec": {}}
    if not any(kind in volume["spec"] for kind in OF_A_NODE):
        return ""
    return str(volume["spec"].get("nodeAffinity") or "any")
