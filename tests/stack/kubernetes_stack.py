"""A whole stack in a Kubernetes cluster, brought up by the real engine and the official plugin, or the stand-in where it is missing."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from keelson.containers.model import DATA_PATH
from keelson.endpoint import ADMINISTRATOR, Endpoint, Reference, resolve_at
from keelson.entrances import Entrance
from keelson.errors import UnreachableError
from keelson.kubernetes import cluster, names, state, toolbox
from keelson.kubernetes.cluster import Cluster, Json
from keelson.postgres.names import RoleNames
from keelson.target import target
from tests import cluster as shared
from tests.stack.harness import CHECKOUT, DEADLINE, StackUnderTest, wait_until

PLUGIN = "pulumi-resource-kubernetes"
STAND_IN = CHECKOUT / "tests" / "plugins" / "bin"
SMALL = "64Mi"  # a volume; the disk is the machine's own
APIS = {
    "pods": "v1",
    "services": "v1",
    "secrets": "v1",
    "configmaps": "v1",
    "persistentvolumeclaims": "v1",
    "statefulsets": "apps/v1",
    "deployments": "apps/v1",
    "jobs": "batch/v1",
    "cronjobs": "batch/v1",
    "networkpolicies": "networking.k8s.io/v1",
}
CLUSTERS_OWN = "configmaps/kube-root-ca.crt"
_NUMBERS = itertools.count(1)


class KubernetesStack(StackUnderTest):
    """A stack of target kubernetes. Its name is nobody else's, and so is its namespace."""

    def __init__(self, home: Path, kubeconfig: Path, host: str, **settings: Any) -> None:
        self.kubeconfig, self.host = kubeconfig, host
        variables = {"KUBECONFIG": str(kubeconfig), "PULUMI_CONFIG_PASSPHRASE": "a test's own"}
        if not shutil.which(PLUGIN):
            programs = [str(STAND_IN), str(Path(sys.prefix) / "bin"), os.environ["PATH"]]
            variables["PATH"] = os.pathsep.join(programs)
        volumes = {"storage": SMALL, "backup_storage": SMALL}
        usual = {"target": "kubernetes", "kubernetes": {"images": "debian"} | volumes}
        super().__init__(home, f"t{os.getpid()}x{next(_NUMBERS)}", usual | settings, variables)

    def keelson(self, *arguments: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        self._bring_images(arguments)
        return super().keelson(*arguments, check=check, **more)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        self._bring_images(arguments)
        return super().start(*arguments)

    @property
    def images(self) -> set[str]:
        """Which images the stack's parts run."""
        servers = {_image_of(each) for each in self.settings["servers"].values()}
        servers |= {"pgbouncer" for each in self.settings["servers"].values() if each.get("pooler")}
        daemons = {"redis"} if self.settings["redis"] else set()
        if any(each.get("ha") for each in self.settings["redis"].values()):
            daemons.add("haproxy")
        if "monitoring" in self.settings["kubernetes"]:
            daemons |= {"postgres-exporter"} | ({"redis-exporter"} if self.settings["redis"] else set())
        return servers | daemons | ({"pgadmin"} if self.settings["pgadmin"].get("enabled", True) else set()) | {"agent"}

    def _bring_images(self, arguments: tuple[str, ...]) -> None:
        if arguments[:1] == ("up",):
            shared.bring(self.kubeconfig, self.host, self.images)

    @property
    def place(self) -> str:
        return f"kubernetes:{self.key}"

    @property
    def cluster(self) -> Cluster:
        with self.here():
            return cluster.connect(self.place)

    def items(self, resource: str, labels: str = "") -> list[Json]:
        """Return the objects of a kind in the stack's namespace."""
        return self.cluster.items(self.cluster.at(resource, api=APIS[resource]), labels)

    def item(self, resource: str, name: str) -> Json:
        """Return one object."""
        found = self.cluster.get(self._path(resource, name))
        assert found, f"{resource} {name} is not there"
        return found

    def delete(self, resource: str, name: str, **options: object) -> None:
        """Delete one object, and wait until it is gone."""
        uid = self.item(resource, name)["metadata"]["uid"]
        self.cluster.delete(self._path(resource, name), **options)

        def gone() -> bool:
            left = self.cluster.get(self._path(resource, name))
            return left is None or left["metadata"]["uid"] != uid

        wait_until(gone, f"{resource} {name} is gone", 60)

    def pods(self, part: str) -> list[Json]:
        return self.items("pods", names.selector(self.key, part))

    def pod(self, part: str) -> Json:
        """Return the only pod of a part that is not about to end."""
        (found,) = [each for each in self.pods(part) if not each["metadata"].get("deletionTimestamp")]
        return found

    def uid(self, part: str) -> str:
        """Return what differs with each pod of a part."""
        return str(self.pod(part)["metadata"]["uid"])

    def run_job(self, name: str) -> None:
        """Have the work of a CronJob done now, and wait until that went well."""
        found = self.item("cronjobs", name)
        job = f"{name}-{secrets.token_hex(3)}"
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": found["metadata"]["uid"]}
        metadata = {
            "name": job,
            "ownerReferences": [owner | {"controller": True}],
        }  # as kubectl does: it goes with that
        body = {"metadata": metadata, "spec": found["spec"]["jobTemplate"]["spec"]}
        self.cluster.create(self.cluster.at("jobs", api=APIS["jobs"]), body)
        wait_until(lambda: self._ended(job), f"job {job} has ended")
        assert self.item("jobs", job)["status"].get("succeeded"), self.item("jobs", job)["status"]

    def _ended(self, job: str) -> bool:
        conditions = self.item("jobs", job).get("status", {}).get("conditions") or []
        return any(each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in conditions)

    def connect(self, service: str, role: str = "app", entrance: Entrance = "primary") -> psycopg.Connection:
        """Connect through a port that this process forwards."""
        with self.here():
            return self.endpoint(service, role, entrance).connect()

    def endpoint(self, service: str, role: str = "app", entrance: Entrance = "primary") -> Endpoint:
        """Return what leads to a server by one of its entrances."""
        described = yaml.safe_load((self.root / "sql" / service / "database.yaml").read_text())
        roles = RoleNames(service)
        usual = {"admin": ADMINISTRATOR, "app": roles.app_a, "migrator": roles.migrator}
        reference = Reference(
            stack=self.key, target=self.place, server=described["server"], database=service, role=usual.get(role, role)
        )
        with self.here():
            return resolve_at(target(self.place).locate(self.key, reference.server, entrance), reference)

    @property
    def folders(self) -> dict[str, str]:
        return {"BACKUPS": f"{DATA_PATH}/keelson/backups/{self.key}"}

    def sh(self, script: str, *words: str) -> str:
        """Run a shell script in the toolbox, which sees the backups."""
        with self.here():
            command = ["sh", "-euc", script, "sh", *words]
            stream = toolbox.stream(self.place, self.key, command, environment=self.folders)
            with contextlib.closing(stream):
                stream.end_input()
                said = b"".join(iter(stream.read, b"")).decode(errors="replace")
                assert stream.status() == 0, stream.said.decode(errors="replace")
                return said

    def read(self, name: str) -> str:
        with self.here():
            return state.read(self.place, self.key).files[name]

    def write(self, name: str, text: str) -> None:
        with self.here():
            files = {**state.read(self.place, self.key).files, name: text}
        kept = {state.KEY: base64.b64encode(json.dumps(files).encode()).decode()}
        self.cluster.patch(self._path("secrets", names.STATE), {"data": kept})

    def port(self, part: str) -> int:
        """Return a port of this process that leads to a part; on a busy machine its probe may fail for a while."""
        deadline = time.monotonic() + DEADLINE
        with self.here():
            while True:
                try:
                    return target(self.place).locate(self.key, part).port
                except UnreachableError:
                    if time.monotonic() > deadline:
                        raise

    def things(self) -> list[str]:
        """Return what is in the stack's namespace, as `kind/name`."""
        found = [f"{kind}/{each['metadata']['name']}" for kind in APIS for each in self.items(kind)]
        return sorted({*found} - {CLUSTERS_OWN})

    def left(self) -> list[str]:
        return [name for name in self.things() if name != f"persistentvolumeclaims/{names.BACKUPS}"]

    def has_data(self, part: str) -> bool:
        return f"persistentvolumeclaims/{names.data(part)}" in self.things()

    def running(self) -> list[str]:
        return [*super().running(), *(pod["metadata"]["name"] for pod in self.items("pods"))]

    def end(self) -> None:
        """End every process, and remove the namespace with all that is in it."""
        super().end()
        path = f"/api/v1/namespaces/{self.key}"
        with contextlib.suppress(AssertionError):
            self.cluster.delete(path)
            for pod in self.items("pods"):
                self.cluster.delete(self._path("pods", pod["metadata"]["name"]), gracePeriodSeconds=0)
            wait_until(lambda: self.cluster.get(path) is None, "the namespace is gone", 60)

    def _path(self, resource: str, name: str) -> str:
        return self.cluster.at(resource, name, api=APIS[resource])

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Let this process see cluster and files as the stack's own commands do."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("KUBECONFIG", "XDG_STATE_HOME", "XDG_DATA_HOME"):
                patch.setenv(name, self.environment[name])
            yield


def _image_of(server: Json) -> str:
    if server.get("ha"):
        return "postgres-ha"
    return "timescaledb" if server.get("timescaledb") else "postgres"
