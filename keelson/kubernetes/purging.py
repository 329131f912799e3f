"""Removing what a destroyed stack left in a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from keelson.errors import PlatformError
from keelson.kubernetes import cluster, harm, names, workloads
from keelson.kubernetes.cluster import Cluster

SECONDS = 120.0  # for pods to end, and for the namespace to go
POLL = 0.25
SINGULAR = {"persistentvolumeclaims": "claim"}


def purge(place: str, key: str) -> Iterator[str]:
    """Remove what bears the stack's label, backups too, and the namespace that was made for it; give the name of each that is gone.

    A namespace in which somebody else's pods or claims are stays.

    Raises:
        PlatformError: the cluster does not answer, or refuses.
    """
    found = cluster.connect(place)
    mine = f"{names.STACK_LABEL}={names.stack_label(key)}"
    for kind, api in harm.KINDS.items():
        for each in workloads.listed(found, kind, found.at(kind, api=api), mine, metadata=True):
            name = str(each["metadata"]["name"])
            # Its operator makes anew what goes before a pooler does.
            policy = "Background" if kind == "poolers" else "Foreground"
            if found.delete(found.at(kind, name, api=api), propagationPolicy=policy):
                yield f"{SINGULAR.get(kind, kind.removesuffix('s'))} {name}"
    _await(found, lambda: not found.items(found.at("pods"), mine, metadata=True))
    if _is_ours(found, key) and not _used_by_others(found, key):
        found.delete(_path(found))
        _await(found, lambda: not found.get(_path(found), metadata=True))
        yield f"namespace {found.namespace}"


def _path(found: Cluster) -> str:
    return f"/api/v1/namespaces/{found.namespace}"


def _is_ours(found: Cluster, key: str) -> bool:
    """Say whether the namespace was made for the stack."""
    known = found.get(_path(found), metadata=True)
    labels = ((known or {}).get("metadata") or {}).get("labels") or {}
    return names.labels(key).items() <= labels.items()


def _used_by_others(found: Cluster, key: str) -> bool:
    theirs = f"{names.STACK_LABEL}!={names.stack_label(key)}"
    return any(
        owner
        for kind in ("pods", "persistentvolumeclaims")
        for owner in found.items(found.at(kind), theirs, metadata=True)
    )


def _await(found: Cluster, holds: Callable[[], bool]) -> None:
    """Wait until something is gone: until then nothing can be made in its place, and a namespace ends late that holds it."""
    until = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > until:
            msg = f"namespace {found.namespace} of the cluster {found.name} does not end; see `{found.kubectl('get all,pvc')}`"
            raise PlatformError(msg)
        time.sleep(POLL)
