"""A namespace of a real cluster, and a pod in it in which processes run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keelson.errors import PlatformError
from keelson.local.locks import exclusive
from tests import cluster
from tests.kubernetes.ground import Ground, ground
from tests.kubernetes.instances import Instances, three_instances
from tools.kubernetes import operator


@pytest.fixture(scope="module")
def place(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A namespace without pods."""
    with pytest.MonkeyPatch.context() as patch, ground(patch, kubeconfig, tmp_path_factory.mktemp("state")) as made:
        yield made


@pytest.fixture(scope="session")
def bare(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of an image in the cluster that holds a few links, and no program."""
    archive = cluster.archive_of_links(tmp_path_factory.mktemp("image") / "bare.tar", "keelson-test/bare:2")
    return cluster.load(kubeconfig, archive)[0]


@pytest.fixture(scope="module")
def toolbox(place: Ground, bare: str) -> Ground:
    """A namespace with a stack's state and its toolbox."""
    place.make_toolbox(bare)
    return place


@pytest.fixture(scope="module")
def operated(kubeconfig: Path) -> Path:
    """A cluster with the operator."""
    with exclusive(kubeconfig.with_name("operator.lock"), seconds=cluster.SECONDS_TO_LOAD):
        try:
            operator.install(kubeconfig.parent)
        except PlatformError as fault:
            if "lacks" not in str(fault):
                raise
            pytest.skip(str(fault))
    return kubeconfig


@pytest.fixture(scope="module")
def instances(place: Ground, operated: Path, docker_host: str) -> Iterator[Instances]:
    """Three instances of a server, shared by the tests of a file."""
    image = cluster.bring(operated, docker_host, ["postgres-ha"])["postgres-ha"]
    with three_instances(place, image) as made:
        yield made
