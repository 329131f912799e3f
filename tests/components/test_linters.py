"""Objects of the target kubernetes as the field's linters see them; that these see at all is tested first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import linters
from tests.components.test_kubernetes import Made, stacks  # noqa: F401 - a fixture

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": "shop"}}
CLUSTER = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "main", "namespace": "shop"}}
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "main", "namespace": "shop"},
}
UNKNOWN = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "main", "namespace": "shop"}}
WITHOUT_SCHEMA: frozenset[str] = frozenset()  # versions of custom kinds whose definitions are nowhere at hand


@pytest.fixture(autouse=True)
def _linters() -> None:
    linters.require()


@pytest.fixture(scope="session")
def crds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The definitions of kinds that are no part of Kubernetes."""
    return linters.definitions(tmp_path_factory.mktemp("linters") / "crds")


@pytest.fixture(scope="session")
def objects(stacks: dict[str, Made], tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """What the stacks of these tests are made of, in a folder each."""
    folder = tmp_path_factory.mktemp("objects")
    for name, made in stacks.items():
        linters.written(folder / name, made.manifests)
    return folder


@pytest.fixture(params=[linters.OLDEST, linters.NEWEST])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_is_wrong_is_found(tmp_path: Path, version: str, crds: Path) -> None:
    wrong = [
        SERVICE | {"spec": {"prts": []}},
        CLUSTER | {"spec": {"instanses": 3}},
        ROUTE | {"spec": {"hosts": []}},
        UNKNOWN,
    ]
    faults, unknown = linters.invalid(linters.written(tmp_path / "wrong", wrong), version, crds)
    assert any("spec.prts" in each for each in faults)
    assert any("spec.instanses" in each for each in faults)
    assert any("spec.hosts" in each for each in faults)
    assert unknown == {"example.org/v1"}
    pod = {"spec": {"containers": [{"name": "main", "image": "nginx"}]}}
    found = linters.unwise(linters.written(tmp_path / "unwise", [SERVICE | {"kind": "Pod"} | pod]), version)
    assert any("container-image-tag" in each for each in found)


def test_each_object_is_as_its_schema_has_it(objects: Path, version: str, crds: Path) -> None:
    faults, unknown = linters.invalid(objects, version, crds)
    assert faults == []
    assert unknown <= WITHOUT_SCHEMA, "name them there, or bring their definitions"


def test_no_object_is_unwise(objects: Path, version: str) -> None:
    for stack in objects.iterdir():
        assert linters.unwise(stack, version) == [], stack.name
