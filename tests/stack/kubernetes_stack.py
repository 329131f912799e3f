"""A whole stack in a Kubernetes cluster, brought up by the real engine and the official plugin, or the stand-in where it is missing."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from keelson.kubernetes import cluster, names
from keelson.kubernetes.cluster import Cluster, Json
from tests.stack.harness import CHECKOUT, StackUnderTest, wait_until

PLUGIN = "pulumi-resource-kubernetes"
STAND_IN = CHECKOUT / "tests" / "plugins" / "bin"
SMALL = "64Mi"  # a volume; the disk is the machine's own
_NUMBERS = itertools.count(1)


class KubernetesStack(StackUnderTest):
    """A stack of target kubernetes. Its name is nobody else's, and so is its namespace."""

    def __init__(self, home: Path, kubeconfig: Path, **settings: Any) -> None:
        variables = {"KUBECONFIG": str(kubeconfig), "PULUMI_CONFIG_PASSPHRASE": "a test's own"}
        if not shutil.which(PLUGIN):
            programs = [str(STAND_IN), str(Path(sys.prefix) / "bin"), os.environ["PATH"]]
            variables["PATH"] = os.pathsep.join(programs)
        self.kubeconfig = kubeconfig
        volumes = {"storage": SMALL, "backup_storage": SMALL}
        usual = {"target": "kubernetes", "kubernetes": {"images": "debian"} | volumes}
        super().__init__(home, f"t{os.getpid()}x{next(_NUMBERS)}", usual | settings, variables)

    @property
    def place(self) -> str:
        return f"kubernetes:{self.key}"

    @property
    def cluster(self) -> Cluster:
        os.environ["KUBECONFIG"] = str(self.kubeconfig)
        return cluster.connect(self.place)

    def items(self, resource: str, api: str = "v1") -> list[Json]:
        """Return the objects of a kind in the stack's namespace."""
        return self.cluster.items(self.cluster.at(resource, api=api))

    def pods(self, part: str) -> list[Json]:
        return self.cluster.items(self.cluster.at("pods"), names.selector(self.key, part))

    def running(self) -> list[str]:
        return [*super().running(), *(pod["metadata"]["name"] for pod in self.items("pods"))]

    def end(self) -> None:
        """End every process, and remove the namespace with all that is in it."""
        super().end()
        path = f"/api/v1/namespaces/{self.key}"
        with contextlib.suppress(AssertionError):
            self.cluster.delete(path)
            wait_until(lambda: self.cluster.get(path) is None, "the namespace is gone", 60)
