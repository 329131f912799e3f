"""A Kubernetes cluster for the tests: the one whose kubeconfig KEELSON_TEST_KUBECONFIG names, else one of the run's own.

The first worker that needs it starts it (`tools/cluster up`), with a node on which pods run. Its keeper ends it, and removes all
of it, when the run's first process has ended, however that came about. `tools/cluster up` by hand makes one that serves several runs.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tarfile
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import docker
import pytest

from keelson.docker import images as ours
from keelson.errors import PlatformError
from keelson.local.locks import exclusive
from tests.daemon import RUN
from tools.kubernetes import cluster, images, place

VARIABLE = "KEELSON_TEST_KUBECONFIG"
SECONDS = 300.0  # that a worker waits for the one which starts the cluster
SECONDS_TO_LOAD = 600.0  # that it waits for the one which brings images


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


def at_node(kubeconfig: Path) -> tuple[str, list[str]]:
    """Return the node's address, which pods reach, and what a command begins with that is to serve there."""
    directory = kubeconfig.parent
    return place.read(directory).address, cluster.at_node(directory)


def load(kubeconfig: Path, *archives: Path, alias: str | None = None) -> list[str]:
    """Bring archives of `docker save` to the cluster's node; return the names by which pods get them."""
    return cluster.load(kubeconfig.parent, archives, alias)


def bring(kubeconfig: Path, host: str, wanted: Collection[str] = ours.NAMES) -> dict[str, str]:
    """Bring images that a stack's parts run to the cluster's node where that lacks them; return their references.

    Args:
        kubeconfig: of the cluster, in whose directory a note says which ones it has.
        host: the Docker daemon that makes them.
        wanted: some of `keelson.docker.images.NAMES`.
    """
    references = {name: ours.reference_of(name) for name in wanted}
    note = kubeconfig.with_name("images-of-tests.json")
    with exclusive(note.with_suffix(".lock"), seconds=SECONDS_TO_LOAD):
        there = set(json.loads(note.read_text())) if note.exists() else set()
        if lacking := {name: each for name, each in references.items() if each not in there}:
            with closing(docker.DockerClient(base_url=host, version="auto", timeout=60)) as client:
                ours.build(client, lacking)
            _pass_on(kubeconfig, host, sorted(lacking.values()))
            note.write_text(json.dumps(sorted(there | {*lacking.values()})))
    return references


def rename(kubeconfig: Path, host: str, reference: str, other: str) -> None:
    """Give an image of the Docker daemon another name on the cluster's node."""
    _pass_on(kubeconfig, host, [reference], other)


def _pass_on(kubeconfig: Path, host: str, references: Collection[str], alias: str | None = None) -> None:
    """Let the daemon write images into the node's hands: at once they share what they stand on, and no file is written."""
    with subprocess.Popen(["docker", "--host", host, "save", *references], stdout=subprocess.PIPE) as saving:
        assert saving.stdout
        load(kubeconfig, Path(f"/dev/fd/{saving.stdout.fileno()}"), alias=alias)
    assert not saving.returncode


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
