"""Where a part's files lie: Secrets, which its pods mount, or which an operator reads."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keelson.containers import digest
from keelson.kubernetes import names
from keelson.kubernetes.cluster import Cluster


@dataclass(frozen=True)
class Kept:
    """A Secret of some files.

    Attributes:
        name: the Secret's.
        type: as the API has it.
        files: which it holds; empty: all.
        labels: beside the stack's own.
    """

    name: str
    type: str = "Opaque"
    files: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def of_pod(part: str) -> tuple[Kept, ...]:
    """Return what a part's own pod mounts: all in one."""
    return (Kept(names.config(part)),)


def read(cluster: Cluster, places: Sequence[Kept]) -> dict[str, str]:
    """Return the texts by their paths, nothing where one of the Secrets is missing; what lies beside them is in the first."""
    found = [cluster.get(cluster.at("secrets", each.name)) for each in places]
    if not all(found):
        return {}
    data = {path: text for secret in found for path, text in ((secret or {}).get("data") or {}).items()}
    return {path: base64.b64decode(text).decode() for path, text in data.items()}


def write(cluster: Cluster, places: Sequence[Kept], labels: Mapping[str, str], texts: Mapping[str, str]) -> None:
    """Write the Secrets; the first also what lies beside the files, so it is written last."""
    for place in reversed(places):
        wanted = {path: text for path, text in texts.items() if not place.files or path in place.files}
        if place is places[0]:
            wanted[digest.FILE] = texts[digest.FILE]
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": place.type,
            "metadata": {"name": place.name, "labels": {**labels, **place.labels}},
            "data": {path: base64.b64encode(text.encode()).decode() for path, text in wanted.items()},
        }
        cluster.apply(cluster.at("secrets", place.name), body)


def drop(cluster: Cluster, places: Sequence[Kept]) -> None:
    """Delete the Secrets; a second time is fine."""
    for place in places:
        cluster.delete(cluster.at("secrets", place.name))
