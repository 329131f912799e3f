"""A namespace of a cluster with what a stack's toolbox needs, as the engine would make it."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keelson.containers import toolbox as wanted
from keelson.containers.model import DATA_PATH, STATE_PATH
from keelson.errors import UnreachableError
from keelson.kubernetes import cluster, names, pods, state, toolbox
from keelson.kubernetes.cluster import Cluster, Json
from tests.stack.harness import CHECKOUT

SECONDS = 180
GIVEN = sorted({Path("/usr"), CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)})  # the node sees this machine's files
OWN = "/var/lib/keelson"
ENVIRONMENT = {
    "PATH": f"{sys.prefix}/bin:/usr/bin",
    "HOME": OWN,
    "KEELSON_INSIDE": "1",
    "XDG_STATE_HOME": STATE_PATH,
    "XDG_DATA_HOME": DATA_PATH,
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True)
class Ground:
    """What is in the cluster."""

    place: str
    key: str

    @property
    def cluster(self) -> Cluster:
        """The cluster and the namespace."""
        return cluster.connect(self.place)

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Ask the state."""
        return state.ask(self.place, self.key, operation, **arguments)

    def make_toolbox(self, image: str) -> None:
        """Make state and toolbox, and wait for it."""
        self.ask("register", environment="dev")
        self.make_pod("toolbox", image, names.labels(self.key, names.TOOLBOX))
        await_until(lambda: bool(toolbox.find(self.place, self.key)))

    def make_pod(
        self, name: str, image: str, labels: dict[str, str], command: tuple[str, ...] = wanted.COMMAND
    ) -> None:
        """Make a pod in which this checkout's programs run, with this run's own Python."""
        volumes: list[Json] = [
            {"name": f"given{number}", "hostPath": {"path": str(path)}} for number, path in enumerate(GIVEN)
        ]
        mounts: list[Json] = [
            {"name": each["name"], "mountPath": each["hostPath"]["path"], "readOnly": True} for each in volumes
        ]
        container = {
            "name": name,
            "image": image,
            "imagePullPolicy": "Never",
            "command": list(command),
            "env": [{"name": each, "value": value} for each, value in ENVIRONMENT.items()],
            "volumeMounts": [*mounts, {"name": "own", "mountPath": OWN}],
        }
        spec = {
            "containers": [container],
            "volumes": [*volumes, {"name": "own", "emptyDir": {}}],
            "terminationGracePeriodSeconds": 0,
        }
        self.cluster.create(self.cluster.at("pods"), {"metadata": {"name": name, "labels": labels}, "spec": spec})

    def pod(self, labels: str) -> Json:
        """Return a pod as soon as it is ready."""
        found: list[Json] = []

        def look() -> bool:
            found[:] = [pods.ready(self.cluster, labels, labels)]
            return True

        await_until(look)
        return found[0]


@contextmanager
def ground(patch: pytest.MonkeyPatch, kubeconfig: Path, home: Path) -> Iterator[Ground]:
    """Give a namespace; in the end it is gone with all that is in it."""
    patch.setenv("KUBECONFIG", str(kubeconfig))
    patch.setenv("XDG_STATE_HOME", str(home))
    patch.setattr(cluster, "_links", {})
    name = f"t{secrets.token_hex(4)}"
    made = Ground(f"kubernetes:{name}", f"{name}-dev")
    made.cluster.create("/api/v1/namespaces", {"metadata": {"name": name}})
    try:
        yield made
    finally:
        toolbox.close(made.place, made.key)
        made.cluster.delete(f"/api/v1/namespaces/{name}")


def await_until(holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until something holds; what is unreachable does not yet."""
    until = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
            fault: object = "it does not hold"
        except UnreachableError as found:
            fault = found
        assert time.monotonic() < until, fault
        time.sleep(0.05)
