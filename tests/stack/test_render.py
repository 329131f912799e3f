"""`keelson render` of the stack that ships for production, with no cluster: its files, and what linters find in them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import linters
from tests.stack.harness import CHECKOUT, StackUnderTest
from tests.stack.kubernetes_stack import PLUGIN, STAND_IN

PASSWORD = "chosen by the user"
AGENT_IMAGE = "registry.example/keelson/agent:1"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackUnderTest]:
    """The shipped stack `prod`, with passwords of the user's own, on a machine that knows no cluster."""
    home = tmp_path_factory.mktemp("render")
    variables = {"KUBECONFIG": "", "HOME": str(home), "PULUMI_CONFIG_PASSPHRASE": "a test's own"}
    if not shutil.which(PLUGIN):
        programs = [str(STAND_IN), str(Path(sys.prefix) / "bin"), os.environ["PATH"]]
        variables["PATH"] = os.pathsep.join(programs)
    made = StackUnderTest(home, "prod", variables=variables)
    shutil.copytree(CHECKOUT / "sql", made.root / "sql", dirs_exist_ok=True)
    shipped = yaml.safe_load((CHECKOUT / "Pulumi.prod.yaml").read_text())
    shipped["config"]["keelson:kubernetes"] = {"workloads": "gitops", "image": {"agent": AGENT_IMAGE}}
    (made.root / "Pulumi.prod.yaml").write_text(yaml.safe_dump(shipped))
    try:
        made.pulumi("stack", "init", "--no-select")
        for key in ("passwords.auth_app_a", "pgadmin.password"):
            made.pulumi("config", "set", "--secret", "--path", f"keelson:{key}", PASSWORD)
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def folder(stack: StackUnderTest) -> Path:
    """What was rendered."""
    stack.keelson("render", "deploy")
    return stack.root / "deploy"


def test_there_is_a_file_for_each_object_and_a_list_of_all(folder: Path) -> None:
    found = {path.name: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
    listed = found.pop("kustomization.yaml")["resources"]
    assert sorted(listed) == sorted(found)
    assert listed[0] == "namespace-keelson-prod.yaml"
    assert {name: f"{each['kind'].lower()}-{each['metadata']['name']}.yaml" for name, each in found.items()} == {
        name: name for name in found
    }
    claims = [name for name in listed if name.startswith("persistentvolumeclaim-")]
    assert {"persistentvolumeclaim-main-data.yaml", "persistentvolumeclaim-backups.yaml"} < {*claims}
    assert listed.index(claims[-1]) < listed.index("statefulset-main.yaml")
    assert not [name for name in listed if name.startswith("secret-")]
    assert "pulumi.com/" not in "".join(path.read_text() for path in folder.iterdir())


def test_no_password_stands_in_any_file(stack: StackUnderTest, folder: Path) -> None:
    assert "secure:" in (stack.root / "Pulumi.prod.yaml").read_text()
    assert not [path.name for path in folder.iterdir() if PASSWORD in path.read_text()]


def test_the_rest_is_named_with_how_it_gets_there(folder: Path) -> None:
    told = (folder / "README.md").read_text()
    assert "`keelson up -s prod` makes the following" in told
    for name in ("keelson-state", "main-config", "auth", "timescale-config"):
        assert f"`{name}`" in told
    assert "`auth (" in told


def test_a_second_rendering_is_the_same_and_touches_only_what_is_its_own(stack: StackUnderTest, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "notes.txt").write_text("of somebody else\n")
    (folder / "service-gone.yaml").write_text((folder / "service-main.yaml").read_text())
    assert "1 removed" in stack.keelson("render", "deploy").stdout
    (folder / "notes.txt").unlink()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_only_a_stack_of_the_target_kubernetes_has_objects(stack: StackUnderTest) -> None:
    shutil.copy(CHECKOUT / "Pulumi.dev.yaml", stack.root)
    refused = stack.keelson("render", "-s", "dev", "elsewhere", check=False)
    assert (refused.returncode, "has the target local" in refused.stderr) == (1, True)
    assert not (stack.root / "elsewhere").exists()


@pytest.mark.parametrize("version", [linters.OLDEST, linters.NEWEST])
def test_linters_find_nothing_wrong(folder: Path, tmp_path: Path, version: str) -> None:
    linters.require()
    assert linters.invalid(folder, version, linters.definitions(tmp_path / "crds")) == ([], set())
    assert linters.unwise(folder, version) == []
