"""An object as plain YAML has it: its file's name, a digest by which the cluster's own is compared, and what that comparison finds."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from keelson.errors import PlatformError
from keelson.kubernetes import cluster
from keelson.kubernetes.cluster import Cluster, Json

RENDERING = "keelson.dev/rendering"  # an annotation: the digest of the manifest that was applied
AT_ONCE = 8  # objects that are asked for
ENGINES_OWN = "pulumi.com/"  # annotations that nobody else reads
_resources: dict[tuple[str, str], dict[str, Json]] = {}  # by server and version of the API
_UNUSUAL = re.compile(r"[^a-z0-9.-]+")


def bare(manifest: Mapping[str, Any]) -> Json:
    """Return a manifest without the engine's own annotations, and without what the cluster alone says."""
    found: Json = {key: value for key, value in copy.copy(dict(manifest)).items() if key != "status"}
    found["metadata"] = dict(found["metadata"])
    annotations = found["metadata"].pop("annotations", None) or {}
    if kept := {name: text for name, text in annotations.items() if not name.startswith(ENGINES_OWN)}:
        found["metadata"]["annotations"] = kept
    return found


def stem(manifest: Mapping[str, Any]) -> str:
    """Return what an object's file is called, without its ending."""
    return _UNUSUAL.sub("-", f"{manifest['kind']}-{manifest['metadata']['name']}".lower())


def file_of(manifest: Mapping[str, Any]) -> str:
    """Return what an object's file is called."""
    return f"{stem(manifest)}.yaml"


def digest(manifest: Mapping[str, Any]) -> str:
    """Return what changes with a manifest."""
    return hashlib.sha256(json.dumps(bare(manifest), sort_keys=True).encode()).hexdigest()[:16]


def marked(manifest: Mapping[str, Any]) -> Json:
    """Return a manifest as it is applied: with its digest."""
    found = bare(manifest)
    annotations = found["metadata"].get("annotations", {}) | {RENDERING: digest(manifest)}
    return found | {"metadata": found["metadata"] | {"annotations": annotations}}


def is_there(place: str, manifest: Mapping[str, Any]) -> bool:
    """Say whether an object is in the cluster, however it was made."""
    found = cluster.connect(place)
    return found.get(_path(found, manifest), metadata=True) is not None


def fault(place: str, manifest: Mapping[str, Any]) -> str:
    """Say in what way the cluster runs an older rendering of an object; nothing where it runs this one.

    Raises:
        PlatformError: it is not there, or the cluster does not know its kind; the sentence names the file to apply.
    """
    found = cluster.connect(place)
    there = found.get(_path(found, manifest))
    if there is None:
        msg = f"{_told(manifest)} is not in namespace {_namespace(found, manifest)} of the cluster {found.name}; {_step(manifest)}"
        raise PlatformError(msg)
    if _rendering(there) == (_rendering(manifest) or digest(manifest)):
        return ""
    differing = "; ".join(_differing_images(there, manifest))
    told = f" ({differing})" if differing else ""
    return f"the cluster has another rendering of {_told(manifest)}{told}; {_step(manifest)}"


def faults(place: str, manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say of each object that the cluster lacks, or has another rendering of, what is to be done."""

    def asked(manifest: Mapping[str, Any]) -> str:
        try:
            return fault(place, manifest)
        except PlatformError as found:
            return str(found)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [each for each in pool.map(asked, manifests) if each]


def _rendering(thing: Mapping[str, Any]) -> str:
    return str((thing["metadata"].get("annotations") or {}).get(RENDERING, ""))


def _step(manifest: Mapping[str, Any]) -> str:
    return f"have {file_of(manifest)} of `keelson render` applied, and run `keelson up` again"


def _told(manifest: Mapping[str, Any]) -> str:
    return f"the {manifest['kind']} {manifest['metadata']['name']}"


def _namespace(found: Cluster, manifest: Mapping[str, Any]) -> str:
    return str(manifest["metadata"].get("namespace") or found.namespace)


def _path(found: Cluster, manifest: Mapping[str, Any]) -> str:
    version, kind, name = manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    resource, namespaced = _resource(found, root, kind)
    within = f"/namespaces/{_namespace(found, manifest)}" if namespaced else ""
    return f"{root}{within}/{resource}/{name}"


def _resource(found: Cluster, root: str, kind: str) -> tuple[str, bool]:
    """Return how the API calls a kind in its paths, and whether its objects lie in namespaces."""
    asked = (found.link.server, root)
    if kind not in _resources.get(asked, {}):
        listed = (found.get(root) or {}).get("resources", ())
        _resources[asked] = {each["kind"]: each for each in listed if "/" not in each["name"]}
    if known := _resources[asked].get(kind):
        return str(known["name"]), bool(known["namespaced"])
    version = root.removeprefix("/apis/").removeprefix("/api/")
    msg = f"the cluster {found.name} does not know the kind {kind} of {version}; install what brings it, and run `keelson up` again"
    raise PlatformError(msg)


def _differing_images(there: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    old, new = ({each["name"]: each["image"] for each in _containers(each)} for each in (there, manifest))
    for name, image in new.items():
        if name in old and old[name] != image:
            yield f"it runs {old[name]} in place of {image}"


def _containers(value: object) -> Iterator[Json]:
    """Give the containers that stand anywhere in an object."""
    if isinstance(value, Mapping):
        found = value.get("containers")
        if isinstance(found, list):
            yield from (each for each in found if isinstance(each, dict) and each.get("image"))
        for item in value.values():
            yield from _containers(item)
