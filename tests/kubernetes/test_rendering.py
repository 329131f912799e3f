"""What a rendering writes: which objects, in which words, and in a folder that may hold what is others'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from keelson.errors import OwnershipError, PlatformError
from keelson.kubernetes import folder, rendering
from keelson.kubernetes.manifests import NOT_IN_CLEAR, NOT_YET_KNOWN, OWN, rendering_of
from keelson.kubernetes.yaml_text import text_of
from keelson.preview.events import Events, Step

Json = dict[str, Any]
MARK = "Written by a test:"


def step(token: str, name: str, inputs: Json, op: str = "create", **more: Any) -> Step:
    state = {"type": token, "inputs": inputs, **more}
    return Step(op, f"urn:pulumi:dev::keelson::{token}::{name}", *(({}, state) if op != "delete" else (state, {})))


def config_map(name: str = "one", **more: Any) -> Json:
    about = {"name": name, "namespace": "shop", "annotations": {"pulumi.com/skipAwait": "true"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, **more}


def objects(*steps: Step) -> dict[str, Json]:
    return {rendering.stem(each): each for each in rendering_of(Events(steps)).manifests}


def plugins(manifest: Json, **more: Any) -> Step:
    return step(f"kubernetes:core/v1:{manifest['kind']}", manifest["metadata"]["name"], manifest, **more)


def test_an_object_bears_its_digest_and_nothing_of_the_engines() -> None:
    found = objects(plugins(config_map(data={"a": "b"})))["configmap-one"]
    assert found["metadata"]["annotations"] == {rendering.RENDERING: rendering.digest(config_map(data={"a": "b"}))}
    assert found["data"] == {"a": "b"}


def test_it_is_the_same_whoever_applies_it() -> None:
    ours = step(f"{OWN}KubernetesApplied", "configmap-one", {"manifest": rendering.bare(config_map())})
    assert objects(ours) == objects(plugins(config_map()))


def test_a_namespace_and_what_holds_backups_outlive_their_files() -> None:
    at = {"place": "kubernetes:shop", "key": "keelson-dev"}
    volume = at | {"name": "main", "claim": "main-data", "size": "5Gi", "storage_class": "fast", "kind": "server"}
    found = objects(
        step(f"{OWN}KubernetesGround", "dev-ground", at),
        step(f"{OWN}KubernetesVolume", "main-data", volume),
        step(f"{OWN}KubernetesVolume", "backups", volume | {"claim": "backups"}, retainOnDelete=True),
    )
    kept = {
        name for name, each in found.items() if "kustomize.toolkit.fluxcd.io/prune" in each["metadata"]["annotations"]
    }
    assert kept == {"namespace-shop", "persistentvolumeclaim-backups"}
    claim = found["persistentvolumeclaim-main-data"]["spec"]
    assert (claim["resources"]["requests"]["storage"], claim["storageClassName"]) == ("5Gi", "fast")


def test_neither_secrets_nor_what_goes_is_written() -> None:
    secret = {**config_map("password"), "kind": "Secret", "stringData": {"password": NOT_IN_CLEAR}}
    found = rendering_of(Events((plugins(secret), plugins(config_map(), op="delete"))))
    assert not found.manifests
    assert [(each.what, each.names) for each in found.rest] == [("other Secrets", ("password",))]


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([plugins(config_map(data={"a": [NOT_IN_CLEAR]}))], r"data.a\[0\] of the configmap-one is a secret"),
        ([plugins(config_map(data={"a": {"b": NOT_YET_KNOWN}}))], "data.a.b of the configmap-one is known only after"),
        ([plugins(config_map()), plugins(config_map())], "two objects would be written to configmap-one.yaml"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(steps: list[Step], sentence: str) -> None:
    with pytest.raises(PlatformError, match=sentence):
        rendering_of(Events(tuple(steps)))


@pytest.mark.parametrize(
    "text",
    [
        "y",
        "n",
        "yes",
        "off",
        "null",
        "~",
        "1e3",
        "0o440",
        "12:30",
        "",
        " a",
        "a: b",
        "# a",
        "a\nb\n",
        "a \nb",
        "\ta",
        "é\u0085",
    ],
)
def test_a_text_stays_one(text: str) -> None:
    written = text_of({"kind": "ConfigMap", "data": {text or "empty": text}})
    assert yaml.safe_load(written) == {"kind": "ConfigMap", "data": {text or "empty": text}}
    assert f": {text}\n" not in written, "other parsers know more words than this one"


def test_an_object_begins_with_what_it_is_and_goes_on_in_order() -> None:
    written = text_of({"spec": {"of": [1, {"is": True}], "by": 0.5}, "metadata": {}, "kind": "Pod", "apiVersion": "v1"})
    assert written == "apiVersion: v1\nkind: Pod\nmetadata: {}\nspec:\n  by: 0.5\n  of:\n    - 1\n    - is: true\n"


def test_a_folder_holds_what_was_rendered_last_and_all_that_is_others(tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text("# of somebody else\n")
    ours = {name: f"# {MARK}\nkind: {name}\n" for name in ("a.yaml", "b.yaml")}
    assert folder.write(tmp_path, ours, MARK).new == ("a.yaml", "b.yaml")
    written = (tmp_path / "a.yaml").stat()

    found = folder.write(tmp_path, {"a.yaml": ours["a.yaml"], "c.yaml": ours["b.yaml"]}, MARK)

    assert (found.new, found.changed, found.removed) == (("c.yaml",), (), ("b.yaml",))
    assert (tmp_path / "a.yaml").stat() == written
    assert {path.name for path in tmp_path.iterdir()} == {"a.yaml", "c.yaml", "theirs.yaml"}
    assert folder.write(tmp_path, {"a.yaml": f"# {MARK}\n"}, MARK).changed == ("a.yaml",)


@pytest.mark.parametrize("foreign", ["text", "link", "directory", "another stack's"])
def test_a_file_that_is_not_ours_is_never_overwritten(tmp_path: Path, foreign: str) -> None:
    path, elsewhere = tmp_path / "deploy" / "b.yaml", tmp_path / "elsewhere"
    path.parent.mkdir()
    elsewhere.write_text(f"# {MARK}\n")
    if foreign == "directory":
        path.mkdir()
    elif foreign == "link":
        path.symlink_to(elsewhere)
    else:
        path.write_text("kind: Theirs\n" if foreign == "text" else f"# {MARK[:-1]}2:\n")

    with pytest.raises(OwnershipError, match=r"has b\.yaml, which this stack did not render"):
        folder.write(path.parent, dict.fromkeys(("a.yaml", "b.yaml"), f"# {MARK}\n"), MARK)

    assert [each.name for each in path.parent.iterdir()] == ["b.yaml"]
    assert elsewhere.read_text() == f"# {MARK}\n"


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatformError, match="name a folder that you may write to"):
        folder.write(tmp_path / "file" / "deploy", {}, MARK)
