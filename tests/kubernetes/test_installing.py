"""CloudNativePG found in a cluster, or installed there: in a cluster of the test's own, which has none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keelson.errors import SettingsError
from keelson.kubernetes import cluster, operator
from tools.kubernetes import cluster as equipment
from tools.kubernetes import images, programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough]
PLACE = "kubernetes:default"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's own manifest, but that the node has the image and pulls none."""
    file = tmp_path_factory.mktemp("manifest") / "operator.yaml"
    text = programs.operator_manifest().read_text()
    file.write_text(text.replace("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent"))
    return file


@pytest.fixture(scope="module", autouse=True)
def bare_cluster(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:  # noqa: ARG001 - its programs are there
    """A cluster without the operator, and with its image."""
    directory = tmp_path_factory.mktemp("cluster")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(equipment.up(directory, until=os.getpid())))
        patch.setattr(cluster, "_links", {})
        try:
            equipment.load(directory, [images.archive("operator")])
            yield
        finally:
            equipment.down(directory)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read \\(No such file or directory\\)"),
        ("a: [", "is no YAML"),
        ("a: 1", "holds no objects of Kubernetes"),
    ],
)
def test_a_manifest_that_is_none_is_told_and_nothing_is_made(tmp_path: Path, text: str | None, sentence: str) -> None:
    file = tmp_path / "wrong.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        operator.ensure(PLACE, str(file), "", install=True)
    assert operator.lack(PLACE) == "has no CloudNativePG"


def test_a_manifest_that_is_another_one_is_refused(manifest: Path) -> None:
    with pytest.raises(SettingsError, match="is not the one whose sha256 is 000"):
        operator.ensure(PLACE, str(manifest), "0" * 64, install=True)


def test_it_is_asked_for_and_installed_once_where_the_settings_say_so(manifest: Path) -> None:
    sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest()
    with pytest.raises(SettingsError, match="has no CloudNativePG, which 'ha' needs; install it, or set"):
        operator.ensure(PLACE, str(manifest), sha256, install=False)
    (said,) = operator.ensure(PLACE, str(manifest), sha256, install=True)
    assert said.startswith("installed CloudNativePG in the cluster")
    assert operator.ensure(PLACE, "/nowhere", "", install=False) == ()
