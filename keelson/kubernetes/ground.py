"""What a stack stands on in a cluster: its namespace, and the volumes, which are found again by their names."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

from keelson.errors import OwnershipError, PlatformError, SettingsError
from keelson.kubernetes import cluster, names
from keelson.kubernetes.cluster import Cluster, Json
from keelson.settings.quantities import count_quantity

ENFORCED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
OF_THE_CLUSTER = frozenset({"kubernetes.io/pvc-protection", "foregroundDeletion", "orphan"})  # finalizers
BROUGHT_BY = {"monitoring.coreos.com/v1": "prometheus-operator"}  # kinds that are no part of Kubernetes, by their API
SECONDS_TO_END = 180.0  # more than any pod is given
POLL = 0.25
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def ensure_namespace(place: str, key: str) -> None:
    """Make the stack's namespace, where pods without rights alone may run; one that is there is taken as it is.

    Raises:
        OwnershipError: it is another stack's.
        PlatformError: the cluster refuses.
    """
    found = cluster.connect(place)
    path = f"/api/v1/namespaces/{found.namespace}"
    known = found.get(path)
    if known is None:
        found.create("/api/v1/namespaces", namespace(place, key))
        return
    owner = (known["metadata"].get("labels") or {}).get(names.STACK_LABEL)
    if owner not in {None, names.stack_label(key)}:
        msg = f"namespace {found.namespace} of the cluster {found.name} is that of stack {owner}; set another keelson:kubernetes.namespace"
        raise OwnershipError(msg)


def namespace(place: str, key: str) -> Json:
    """Return the stack's namespace as the API has it; asks no cluster."""
    name = cluster.find(place).namespace
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": names.labels(key) | names.told_of(key, "namespace") | ENFORCED},
    }


def require(place: str, needs: Mapping[str, str]) -> None:
    """See that the cluster knows kinds that are no part of Kubernetes.

    Args:
        place: the cluster and namespace.
        needs: for each such as `external-secrets.io/v1/ExternalSecret` the setting that wants it.

    Raises:
        PlatformError: it lacks one.
    """
    found = cluster.connect(place)
    for wanted, setting in sorted(needs.items()):  # the engine keeps no order
        api, _, kind = wanted.rpartition("/")
        known = (found.get(f"/apis/{api}") or {}).get("resources") or ()
        if not any(each["kind"] == kind for each in known):
            msg = f"the cluster {found.name} knows no {kind} of {api}; install {BROUGHT_BY.get(api, 'what brings it')}, or take out the setting 'keelson:{setting}'"
            raise PlatformError(msg)


def has_namespace(place: str) -> bool:
    """Say whether the stack's namespace is there, and stays."""
    found = cluster.connect(place)
    known = found.get(f"/api/v1/namespaces/{found.namespace}", metadata=True)
    return bool(known) and not (known or {})["metadata"].get("deletionTimestamp")


@functools.cache
def is_same(one: str, other: str) -> bool:
    """Say whether two places are one namespace of one cluster: the cluster gives each namespace that it makes an id of its own.

    Raises:
        SettingsError: the kubeconfig knows a context no more.
        PlatformError: a cluster does not answer.
    """
    if cluster.find(one).namespace != cluster.find(other).namespace:
        return False
    found = [cluster.connect(place) for place in (one, other)]
    known = [each.get(f"/api/v1/namespaces/{each.namespace}", metadata=True) for each in found]
    ids = [each["metadata"]["uid"] for each in known if each]
    return len(ids) == len(known) and len({*ids}) == 1


def has_state(place: str) -> bool:
    """Say whether the Secret of the stack's state is there."""
    found = cluster.connect(place)
    return found.get(found.at("secrets", names.STATE), metadata=True) is not None


def ensure_claim(  # noqa: PLR0913, PLR0917
    place: str, key: str, part: str, name: str, size: str, storage_class: str = "", *, kind: str = ""
) -> None:
    """Make a volume's claim, take the one that is there into service again, or let it grow.

    Args:
        place: the cluster and namespace.
        key: the stack's key.
        part: whose volume it is.
        name: the claim's.
        size: what it holds, for example 10Gi.
        storage_class: the cluster's usual one where it is empty.
        kind: what the part is, for its labels.

    Raises:
        OwnershipError: the claim is another stack's.
        SettingsError: it is larger already.
        PlatformError: the cluster refuses, for example as its storage class lets no volume grow.
    """
    found = cluster.connect(place)
    path = found.at("persistentvolumeclaims", name)
    _await_end(found, name)
    known = found.get(path)
    if known is None:
        found.create(found.at("persistentvolumeclaims"), claim(place, key, part, name, size, storage_class, kind=kind))
        return
    _refuse_foreign(found, key, known)
    held = known["spec"]["resources"]["requests"]["storage"]
    refuse_shrink(part, held, size)
    if _bytes(held) < count_quantity(size):
        found.patch(path, {"spec": {"resources": {"requests": {"storage": size}}}})
    if not (labels := _labels(key, part, kind)).items() <= known["metadata"]["labels"].items():
        found.patch(path, {"metadata": {"labels": labels}})


def claim(  # noqa: PLR0913, PLR0917
    place: str, key: str, part: str, name: str, size: str, storage_class: str = "", *, kind: str = ""
) -> Json:
    """Return a volume's claim as the API has it; asks no cluster. The arguments are those of `ensure_claim`."""
    spec: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    about = {"name": name, "namespace": cluster.find(place).namespace, "labels": _labels(key, part, kind)}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": about,
        "spec": spec | ({"storageClassName": storage_class} if storage_class else {}),
    }


def claim_of(volume: Mapping[str, Any]) -> Json:
    """Return the claim of a volume that is described by the inputs of its resource."""
    place, key, part, name, size = (str(volume[each]) for each in ("place", "key", "name", "claim", "size"))
    known = {name: str(volume.get(name) or "") for name in ("storage_class", "kind")}
    return claim(place, key, part, name, size, **known)


def refuse_shrink(part: str, held: str, wanted: str) -> None:
    """Raise SettingsError where a volume would have to become smaller."""
    if _bytes(held) > count_quantity(wanted):
        msg = f"the volume of {part} holds {held} and cannot shrink to {wanted}; keep {held}, or restore a backup into another server"
        raise SettingsError(msg)


def size_of(place: str, name: str) -> str:
    """Return what a claim asks for; nothing where there is none."""
    found = cluster.connect(place)
    known = found.get(found.at("persistentvolumeclaims", name))
    return str(known["spec"]["resources"]["requests"]["storage"]) if known else ""


def drop_claim(place: str, name: str) -> None:
    """Delete a volume's claim, and with it what the volume holds where its storage class says so; a second time is fine.

    Raises:
        PlatformError: the cluster refuses, or a pod keeps using it.
    """
    found = cluster.connect(place)
    found.delete(found.at("persistentvolumeclaims", name))
    _await_end(found, name)


def drop_secrets(place: str, key: str) -> None:
    """Delete the stack's state and its parts' files; a second time is fine."""
    found = cluster.connect(place)
    for secret in found.items(found.at("secrets"), f"{names.STACK_LABEL}={names.stack_label(key)}"):
        found.delete(found.at("secrets", secret["metadata"]["name"]))


def _await_end(found: Cluster, name: str) -> None:
    """Wait until a claim that was deleted is gone: it stays while a pod that ends still uses it."""
    path = found.at("persistentvolumeclaims", name)
    until = time.monotonic() + SECONDS_TO_END
    while (left := found.get(path, metadata=True)) and left["metadata"].get("deletionTimestamp"):
        if time.monotonic() > until:
            look = found.kubectl(f"describe persistentvolumeclaim {name}")
            held = holding(left) or "something uses it still"
            msg = f"the claim {name} in namespace {found.namespace} of the cluster {found.name} was deleted, and {held}; see `{look}`"
            raise PlatformError(msg)
        time.sleep(POLL)


def _labels(key: str, part: str, kind: str) -> dict[str, str]:
    return names.labels(key, part) | (names.told_of(key, kind) if kind else {})


def holding(thing: Json) -> str:
    """Return which finalizers keep a deleted object from going, those of the cluster itself left out; nothing where there is none."""
    theirs = [name for name in thing["metadata"].get("finalizers") or () if name not in OF_THE_CLUSTER]
    return f"waits for the finalizer {', '.join(theirs)}" if theirs else ""


def _refuse_foreign(found: Cluster, key: str, claim: Json) -> None:
    owner = (claim["metadata"].get("labels") or {}).get(names.STACK_LABEL)
    if owner != names.stack_label(key):
        msg = (
            f"the claim {claim['metadata']['name']} in namespace {found.namespace} of the cluster {found.name} is not of stack {key}; "
            "use another namespace, or remove the claim if nobody needs what it holds"
        )
        raise OwnershipError(msg)


def _bytes(quantity: str) -> int:
    """Return the bytes of a quantity as the API has it."""
    for unit, factor in _UNITS.items():
        if quantity.endswith(unit):
            return int(float(quantity.removesuffix(unit)) * factor)
    return int(quantity)
