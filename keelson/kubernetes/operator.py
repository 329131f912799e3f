"""CloudNativePG, which keeps servers of several instances: found in the cluster, or installed by its makers' manifest.

It belongs to the cluster and not to a stack, so no stack removes it: with its kinds all Clusters of all stacks would go.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keelson.errors import PlatformError, SettingsError
from keelson.kubernetes import cluster, workloads
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ApiError
from keelson.reasons import reason
from keelson.settings.instances import OPERATOR_VERSION

NEEDED = {"clusters": "", "databaseroles": OPERATOR_VERSION}  # its kinds: since which version
SECONDS_TO_FETCH = 60.0
SECONDS_TO_ANSWER = 180.0  # for its image to be got, and its webhooks to answer
POLL = 0.5
TRIAL = {
    "apiVersion": workloads.OPERATORS_API,
    "kind": "Cluster",
    "metadata": {"name": "keelson-trial"},
    "spec": {"instances": 1, "storage": {"size": "1Gi"}},
}


def lack(place: str) -> str:
    """Return what a cluster lacks of it, in a few words; nothing where it has all that is needed."""
    found = cluster.connect(place).get(f"/apis/{workloads.OPERATORS_API}")
    kinds = {str(each["name"]) for each in (found or {}).get("resources") or ()}
    missing = [(kind, since) for kind, since in NEEDED.items() if kind not in kinds]
    if not missing:
        return ""
    return (
        f"has CloudNativePG of a version before {OPERATOR_VERSION}" if "clusters" in kinds else "has no CloudNativePG"
    )


def ensure(place: str, manifest: str, sha256: str, *, install: bool) -> tuple[str, ...]:
    """See that the operator is there; install it where that is wanted, and say so.

    Args:
        place: the cluster.
        manifest: an address, or a file of this machine.
        sha256: what its digest must be; empty: it is not compared.
        install: whether one that is missing is installed. One that is too old never is replaced: others may rely on it.

    Raises:
        SettingsError: it is missing or too old, and what to do; or the manifest is none.
        PlatformError: the cluster refuses, the manifest cannot be had, or the operator does not answer.
    """
    found = cluster.connect(place)
    if not (missing := lack(place)):
        return ()
    if not install or "no" not in missing.split():
        how = "upgrade it" if "before" in missing else "install it, or set keelson:kubernetes.operator: {install: true}"
        msg = f"the cluster {found.name} {missing}, which 'ha' needs; {how}"
        raise SettingsError(msg)
    things = list(_objects(_read(manifest, sha256), manifest))
    for thing in sorted(things, key=lambda each: each["kind"] not in {"Namespace", "CustomResourceDefinition"}):
        found.apply(_path(found, thing), thing)
    _await(found)
    return (f"installed CloudNativePG in the cluster {found.name}; it stays when the stack goes",)


def _read(manifest: str, sha256: str) -> bytes:
    text = _fetched(manifest) if manifest.startswith("https://") else _of_file(manifest)
    if sha256 and hashlib.sha256(text).hexdigest() != sha256:
        msg = f"the operator's manifest {manifest} is not the one whose sha256 is {sha256}; correct keelson:kubernetes.operator"
        raise SettingsError(msg)
    return text


def _of_file(manifest: str) -> bytes:
    try:
        return Path(manifest).read_bytes()
    except OSError as fault:
        msg = f"the operator's manifest {manifest} cannot be read ({fault.strerror}); correct keelson:kubernetes.operator.manifest"
        raise SettingsError(msg) from None


def _fetched(manifest: str) -> bytes:
    import urllib3  # noqa: PLC0415

    try:
        answer = urllib3.PoolManager().request("GET", manifest, timeout=SECONDS_TO_FETCH)
    except urllib3.exceptions.HTTPError as fault:
        msg = f"the operator's manifest {manifest} cannot be had ({reason(fault)}); name a file in keelson:kubernetes.operator.manifest"
        raise PlatformError(msg) from None
    if answer.status >= cluster.GOOD:
        msg = f"the operator's manifest {manifest} cannot be had (status {answer.status}); correct keelson:kubernetes.operator.manifest"
        raise PlatformError(msg)
    return bytes(answer.data)


def _objects(text: bytes, manifest: str) -> Iterator[Json]:
    import yaml  # noqa: PLC0415

    try:
        things: list[Any] = [
            each for each in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if each
        ]
    except yaml.YAMLError as fault:
        msg = f"the operator's manifest {manifest} is no YAML ({' '.join(str(fault).split())})"
        raise SettingsError(msg) from None
    if not things or not all(
        isinstance(each, dict) and {"apiVersion", "kind", "metadata"} <= each.keys() for each in things
    ):
        msg = f"the operator's manifest {manifest} holds no objects of Kubernetes; correct keelson:kubernetes.operator.manifest"
        raise SettingsError(msg)
    yield from things


def _path(found: Cluster, thing: Json) -> str:
    """Return an object's path, by what the API says of its kind."""
    api = str(thing["apiVersion"])
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    known = (found.get(root) or {}).get("resources") or ()
    kind = next((each for each in known if each["kind"] == thing["kind"] and "/" not in each["name"]), None)
    if kind is None:
        msg = f"the cluster {found.name} does not know the kind {thing['kind']} ({api}) of the operator's manifest; upgrade it"
        raise PlatformError(msg)
    within = f"/namespaces/{thing['metadata']['namespace']}" if kind["namespaced"] else ""
    return re.sub(r"//+", "/", f"{root}{within}/{kind['name']}/{thing['metadata']['name']}")


def _await(found: Cluster) -> None:
    """Wait until its webhooks take a Cluster; nothing is made."""
    until = time.monotonic() + SECONDS_TO_ANSWER
    while True:
        try:
            found.create(f"/apis/{workloads.OPERATORS_API}/namespaces/default/clusters", TRIAL, trial=True)
        except ApiError as fault:
            if time.monotonic() > until:
                msg = f"CloudNativePG was installed and does not answer: {fault}"
                raise PlatformError(msg) from None
            time.sleep(POLL)
        else:
            return
