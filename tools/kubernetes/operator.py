"""CloudNativePG on a test cluster, by the manifest that comes with it."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, Any

import yaml

from keelson.errors import PlatformError
from tools.kubernetes import cluster, images, place, programs
from tools.kubernetes.api import Api, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE = 120.0  # seconds for the operator to answer
POLL = 0.1  # seconds between two looks
API = "postgresql.cnpg.io/v1"
TRIAL = f"/apis/{API}/namespaces/default/clusters?dryRun=All"  # makes nothing, but asks the operator's webhooks
CONFIGURATION = {  # read when the operator starts
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "cnpg-controller-manager-config", "namespace": "cnpg-system"},
    "data": {"STANDBY_TCP_USER_TIMEOUT": "1000"},  # milliseconds until a replica gives up a primary that says nothing
}


def install(directory: Path) -> None:
    """Install the operator on a cluster with a node, and wait until its webhooks answer; once more does no harm.

    Raises:
        PlatformError: no such cluster runs there, the operator was not built, or it does not answer.
    """
    programs.require("operator")
    cluster.load(directory, [images.archive("operator")])
    api = Api(place.read(directory.resolve()).kubeconfig)
    try:
        for thing in _manifest():
            api.apply(thing)
    except RefusedError as fault:
        msg = f"the test cluster in {directory} refuses the operator: {fault}"
        raise PlatformError(msg) from None
    _await(api, directory)


def _manifest() -> Iterator[dict[str, Any]]:
    """Return the objects of the manifest as published, but that the image is taken from the node; and our configuration."""
    text = programs.operator_manifest().read_text().replace("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent")
    for thing in filter(None, yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))):
        if thing["kind"] == "Deployment":
            yield CONFIGURATION
        yield thing


def _await(api: Api, directory: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    trial = {
        "apiVersion": API,
        "kind": "Cluster",
        "metadata": {"name": "trial"},
        "spec": {"instances": 1, "storage": {"size": "1Gi"}},
    }
    while True:
        try:
            api.ask("POST", TRIAL, trial)
        except (OSError, RefusedError, http.client.HTTPException) as fault:
            if time.monotonic() > deadline:
                msg = f"the operator in {directory} did not answer within {DEADLINE:.0f} s: {fault}"
                raise PlatformError(msg) from None
            time.sleep(POLL)
        else:
            return
