"""The provisioner of a test cluster's StorageClass: makes, enlarges and removes directories as volumes.

A volume's size is noted, not enforced. Runs inside the cluster's namespaces until it is ended.
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import time
from pathlib import Path
from typing import Any

from tools.kubernetes.api import MERGE, Api, RefusedError
from tools.kubernetes.place import INSIDE

PROVISIONER = "keelson.invalid/directory"
PROVISIONED = "pv.kubernetes.io/provisioned-by"
WANTED = "volume.kubernetes.io/storage-provisioner"
NODE = "volume.kubernetes.io/selected-node"
VOLUMES = "/api/v1/persistentvolumes"
POLL = 0.3  # seconds between two looks

Object = dict[str, Any]


class Provisioner:
    """Keeps the volumes of the cluster as its claims want them."""

    def __init__(self, api: Api, directory: Path) -> None:
        self.api, self.directory = api, directory

    def look(self) -> None:
        """Do what claims and volumes ask for now."""
        volumes = [each for each in self.api.ask("GET", VOLUMES)["items"] if _ours(each)]
        names = {each["metadata"]["name"]: each for each in volumes}
        for claim in self.api.ask("GET", "/api/v1/persistentvolumeclaims")["items"]:
            if _annotation(claim, WANTED) != PROVISIONER:
                continue
            volume = names.get(_name(claim))
            if volume is None and "volumeName" not in claim["spec"] and _annotation(claim, NODE):
                self._make(claim)
            elif volume is not None and claim["status"]["phase"] == "Bound":
                self._enlarge(claim, volume)
        for volume in volumes:
            released = volume["status"].get("phase") == "Released"
            if released and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
                self._remove(volume)

    def _make(self, claim: Object) -> None:
        place = self.directory / _name(claim)
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o755)
        self.api.ask("POST", VOLUMES, self._volume(claim, place, self._policy(claim)))

    def _policy(self, claim: Object) -> str:
        kind = self.api.ask("GET", f"/apis/storage.k8s.io/v1/storageclasses/{claim['spec']['storageClassName']}")
        return str(kind["reclaimPolicy"])

    def _volume(self, claim: Object, place: Path, policy: str) -> Object:
        meta, spec = claim["metadata"], claim["spec"]
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [_annotation(claim, NODE)]}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": _name(claim), "annotations": {PROVISIONED: PROVISIONER}},
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "volumeMode": spec.get("volumeMode", "Filesystem"),
                "persistentVolumeReclaimPolicy": policy,
                "storageClassName": spec["storageClassName"],
                "local": {"path": str(place)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": meta["namespace"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                },
            },
        }

    def _enlarge(self, claim: Object, volume: Object) -> None:
        """Give a claim what it asks for now; the API server has refused whatever was no growth."""
        wanted = {"storage": claim["spec"]["resources"]["requests"]["storage"]}
        if volume["spec"]["capacity"] != wanted:
            self.api.ask("PATCH", f"{VOLUMES}/{volume['metadata']['name']}", {"spec": {"capacity": wanted}}, MERGE)
        if claim["status"].get("capacity") != wanted:
            meta = claim["metadata"]
            status = f"/api/v1/namespaces/{meta['namespace']}/persistentvolumeclaims/{meta['name']}/status"
            self.api.ask("PATCH", status, {"status": {"capacity": wanted, "conditions": None}}, MERGE)

    def _remove(self, volume: Object) -> None:
        shutil.rmtree(volume["spec"]["local"]["path"], ignore_errors=True)
        self.api.ask("DELETE", f"{VOLUMES}/{volume['metadata']['name']}")


def _name(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def _ours(volume: Object) -> bool:
    return _annotation(volume, PROVISIONED) == PROVISIONER


def _annotation(thing: Object, name: str) -> str:
    return str((thing["metadata"].get("annotations") or {}).get(name, ""))


def main() -> None:
    """Look again and again; what fails once is tried with the next look."""
    provisioner = Provisioner(Api(INSIDE / "kubeconfig"), INSIDE / "volumes")
    while True:
        with contextlib.suppress(RefusedError, OSError, http.client.HTTPException):
            provisioner.look()
        time.sleep(POLL)


if __name__ == "__main__":
    main()
