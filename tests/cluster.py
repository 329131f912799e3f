"""A Kubernetes cluster for the tests: the one whose kubeconfig KEELSON_TEST_KUBECONFIG names, else one of the run's own.

The first worker that needs it starts it (`tools/cluster up`), with a node on which pods run. Its keeper ends it, and removes all
of it, when the run's first process has ended, however that came about. `tools/cluster up` by hand makes one that serves several runs.
"""

from __future__ import annotations

import functools
import os
import tarfile
from pathlib import Path

import pytest

from keelson.errors import PlatformError
from keelson.local.locks import exclusive
from tests.daemon import RUN
from tools.kubernetes import cluster, images, place

VARIABLE = "KEELSON_TEST_KUBECONFIG"
SECONDS = 300.0  # that a worker waits for the one which starts the cluster


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The kubeconfig of a cluster for the tests, shared by all workers of the run."""
    try:
        return running()
    except PlatformError as fault:
        if os.environ.get("CI"):
            pytest.fail(str(fault))
        pytest.skip(str(fault))


@functools.cache
def running() -> Path:
    """Return the kubeconfig of the run's cluster, started by whoever asks first.

    Raises:
        PlatformError: there is none and none can be started.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given)
    directory = place.LOCKS / f"run-{RUN}"
    with exclusive(place.LOCKS / "runs", seconds=SECONDS):
        if cluster.runs(directory):
            return place.read(directory).kubeconfig
        return cluster.up(directory, until=RUN)


def load(kubeconfig: Path, *archives: Path, alias: str | None = None) -> list[str]:
    """Bring archives of `docker save` to the cluster's node; return the names by which pods get them."""
    return cluster.load(kubeconfig.parent, archives, alias)


def archive_of_links(target: Path, name: str) -> Path:
    """Write the archive of an image that holds a few links: programs come from the node's /usr."""
    layer = target.with_suffix(".layer")
    with tarfile.open(layer, mode="w") as tar:
        for link in ("bin", "sbin", "lib", "lib64"):
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{link}"
            tar.addfile(entry)
    images.write(target, name, layer, {})
    return target
