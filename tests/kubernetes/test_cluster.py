"""The API of a real cluster: objects, and what it refuses."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from keelson.errors import PlatformError
from keelson.kubernetes import cluster
from keelson.kubernetes.cluster import Cluster
from keelson.kubernetes.faults import ApiError, ConflictError, ForbiddenError, MissingError
from tests.kubernetes.ground import Ground, await_until

pytestmark = pytest.mark.kubernetes

RESTRICTED = "pod-security.kubernetes.io/enforce"
POD = {"containers": [{"name": "main", "image": "none", "securityContext": {"privileged": True}}]}


@pytest.fixture
def found(place: Ground) -> Cluster:
    return place.cluster


def settings(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_objects_are_made_changed_found_and_deleted(found: Cluster) -> None:
    path = found.at("configmaps", "one")
    made = found.create(found.at("configmaps"), settings("one", a="1"))
    assert found.get(path) == made
    assert found.patch(path, {"metadata": {"labels": {"of": "test"}}, "data": {"a": None, "b": "2"}})["data"] == {
        "b": "2"
    }
    assert [each["metadata"]["name"] for each in found.items(found.at("configmaps"), "of=test")] == ["one"]
    assert found.items(found.at("configmaps"), fields="metadata.name=two") == []
    only = found.get(path, metadata=True)
    assert only
    assert "data" not in only
    assert [found.delete(path), found.delete(path), found.get(path)] == [True, False, None]


def test_what_is_applied_is_owned_whoever_owned_it(found: Cluster) -> None:
    path = found.at("configmaps", "owned")
    found.create(found.at("configmaps"), settings("owned", a="theirs", b="theirs"))

    assert found.apply(path, settings("owned", a="ours"))["data"] == {"a": "ours", "b": "theirs"}
    assert found.apply(path, settings("owned", c="ours"))["data"] == {"b": "theirs", "c": "ours"}


def test_an_older_version_replaces_nothing(found: Cluster) -> None:
    path = found.at("configmaps", "raced")
    first = found.create(found.at("configmaps"), settings("raced"))
    found.patch(path, {"data": {"a": "1"}})
    with pytest.raises(ConflictError, match=r"refuses to replace configmaps/raced in namespace \S+: .* modified"):
        found.replace(path, first)
    with pytest.raises(ConflictError, match="already exists"):
        found.create(found.at("configmaps"), settings("raced"))


REFUSALS: dict[str, tuple[Callable[[Cluster], Any], type[PlatformError], str]] = {
    "a field that there is not": (
        lambda found: found.create(found.at("configmaps"), {**settings("x"), "dat": {}}),
        ApiError,
        r'unknown field "dat"; the cluster is of another version',
    ),
    "a kind that there is not": (
        lambda found: found.create(found.at("clusters", api="postgresql.nowhere.io/v1"), settings("x")),
        MissingError,
        "create clusters in namespace",
    ),
    "a namespace that there is not": (
        lambda found: found.create("/api/v1/namespaces/nowhere/configmaps", settings("x")),
        MissingError,
        'namespaces "nowhere" not found',
    ),
    "an immutable field": (
        lambda found: found.patch(
            found.create(found.at("configmaps"), {**settings("fixed"), "immutable": True}) and found.at("configmaps", "fixed"),
            {"data": {"a": "b"}},
        ),
        ApiError,
        "immutable.*; take the change back, or delete the object",
    ),
    "a value that is wrong": (
        lambda found: found.create(found.at("configmaps"), settings("Wrong Name")),
        ApiError,
        r"refuses to create configmaps in namespace .*Invalid value",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_names_the_cluster_the_object_and_the_next_step(found: Cluster, name: str) -> None:
    change, kind, said = REFUSALS[name]
    with pytest.raises(kind, match=rf"^the cluster \S+ \(https://.*{said}"):
        change(found)


def test_a_wrong_secret_is_refused_without_its_text(found: Cluster) -> None:
    for data in (
        {"data": {"a": "geheim!"}},
        {"stringData": {"a b": "geheim!"}},
        {"type": "geheim!", "data": {"/": ""}},
    ):
        with pytest.raises(ApiError, match="create secrets in namespace") as fault:
            found.create(found.at("secrets"), {"metadata": {"name": "x"}, **data})
        assert "geheim" not in str(fault.value)


def test_a_pod_that_the_namespaces_security_forbids_is_told(found: Cluster) -> None:
    namespace = f"/api/v1/namespaces/{found.namespace}"
    found.patch(namespace, {"metadata": {"labels": {RESTRICTED: "restricted"}}})
    try:
        with pytest.raises(ForbiddenError, match=r"violates PodSecurity .*; correct the pod, or the namespace's label"):
            found.create(found.at("pods"), {"metadata": {"name": "x"}, "spec": POD})
    finally:
        found.patch(namespace, {"metadata": {"labels": {RESTRICTED: None}}})


def test_a_quota_that_is_used_up_is_told(found: Cluster) -> None:
    quota = found.at("resourcequotas", "none")
    found.create(
        found.at("resourcequotas"),
        {"metadata": {"name": "none"}, "spec": {"hard": {"count/leases.coordination.k8s.io": "0"}}},
    )
    await_until(lambda: bool((found.get(quota) or {})["status"].get("hard")))
    with pytest.raises(ForbiddenError, match=r"exceeded quota: none.*; free what is not needed"):
        found.create(found.at("leases", api="coordination.k8s.io/v1"), {"metadata": {"name": "x"}})


def test_a_policy_that_denies_and_a_webhook_that_does_not_answer_are_told(
    found: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    api = "/apis/admissionregistration.k8s.io/v1"
    here = {"matchLabels": {"kubernetes.io/metadata.name": found.namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["endpoints"]}
    hook = {
        "name": "gone.keelson.dev",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "namespaceSelector": here,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    path = f"{api}/validatingwebhookconfigurations"
    found.create(path, {"metadata": {"name": found.namespace}, "webhooks": [hook]})

    def said() -> str:
        try:
            found.create(found.at("endpoints"), {"metadata": {"generateName": "x"}})
        except PlatformError as fault:
            return str(fault)
        return ""

    try:
        await_until(lambda: "failed calling webhook" in said())
        assert said().endswith("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`")
    finally:
        found.delete(f"{path}/{found.namespace}")


def test_who_may_not_is_told_which_right_is_missing(
    found: Cluster, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found.create(found.at("serviceaccounts"), {"metadata": {"name": "poor"}})
    made = found.create(f"{found.at('serviceaccounts', 'poor')}/token", {"spec": {"expirationSeconds": 600}})
    poor = known_as(kubeconfig, tmp_path / "poor", made["status"]["token"])
    monkeypatch.setenv("KUBECONFIG", poor)
    other = cluster.connect(f"kubernetes:{found.namespace}@as token")
    with pytest.raises(ForbiddenError) as fault:
        other.items(other.at("secrets"))
    account = f"system:serviceaccount:{found.namespace}:poor may not list secrets"
    hint = f"`kubectl --context 'as token' auth can-i list secrets -n {found.namespace}`"
    assert account in str(fault.value)
    assert str(fault.value).endswith(hint)


def test_a_token_that_is_none_is_told(
    found: Cluster, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", known_as(kubeconfig, tmp_path / "wrong", "nobody's"))
    monkeypatch.setattr(cluster, "_links", {})
    other = cluster.connect(f"kubernetes:{found.namespace}")
    with pytest.raises(ApiError, match=r"does not know who asks \(.*\); renew the credentials") as fault:
        other.items(other.at("secrets"))
    assert "nobody's" not in str(fault.value)


def known_as(kubeconfig: Path, file: Path, token: str, context: str = "as token") -> str:
    """Write a kubeconfig for the same cluster, with a token in place of certificates."""
    given = yaml.safe_load(kubeconfig.read_text())
    known = given["clusters"][0]["cluster"]
    if "certificate-authority" in known:
        text = (kubeconfig.parent / known.pop("certificate-authority")).read_bytes()
        known["certificate-authority-data"] = base64.b64encode(text).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "c", "cluster": known}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
    }
    file.write_text(yaml.safe_dump(document))
    return str(file)
