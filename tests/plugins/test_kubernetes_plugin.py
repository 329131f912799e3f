from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2
from kubernetes import client, config, dynamic
from kubernetes.client.exceptions import ApiException

from tests.plugins.process import (
    KUBERNETES_PLUGIN,
    OFFICIAL_KUBERNETES,
    Bag,
    KubernetesPlugin,
    bag,
    left_behind,
    secret,
)
from tests.stack.harness import CHECKOUT, wait_until
from tools.kubernetes import images

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough]

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
TOKENS = {
    "Claim": "kubernetes:core/v1:PersistentVolumeClaim",
    "ClusterRole": "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
    "Config": "kubernetes:core/v1:ConfigMap",
    "CronJob": "kubernetes:batch/v1:CronJob",
    "Definition": "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
    "Deployment": "kubernetes:apps/v1:Deployment",
    "Job": "kubernetes:batch/v1:Job",
    "Namespace": "kubernetes:core/v1:Namespace",
    "Policy": "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "Pod": "kubernetes:core/v1:Pod",
    "RoleBinding": "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
    "Secret": "kubernetes:core/v1:Secret",
    "Service": "kubernetes:core/v1:Service",
    "StatefulSet": "kubernetes:apps/v1:StatefulSet",
}
CONTAINER = {"name": "c", "image": images.pause(), "imagePullPolicy": "Never"}
TEMPLATE = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [CONTAINER], "terminationGracePeriodSeconds": 0},
}
SELECTED = {"selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
NOWHERE = "https://127.0.0.1:{port}"


def kubeconfig_of(server: str, namespace: str = "default") -> str:
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
            "current-context": "x",
        }
    )


@pytest.fixture(scope="module")
def nowhere():
    """A kubeconfig of a cluster that does not answer."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield kubeconfig_of(NOWHERE.format(port=taken.getsockname()[1]))


@pytest.fixture(scope="module")
def offline(nowhere: str):
    with KubernetesPlugin(nowhere) as process:
        yield process


def state_of(inputs: Bag) -> Bag:
    """Return the state of an object whose live form is what was asked for."""
    return {**inputs, "__inputs": inputs, "__initialApiVersion": inputs["apiVersion"], "__fieldManager": "m"}


@pytest.mark.parametrize(
    ("kind", "inputs", "places"),
    [
        ("Config", {"datas": {}}, {"datas"}),
        ("Config", {"metadata": {"labls": {}}}, {"metadata.labls"}),
        ("Config", {"data": {"a": {"b": "c"}}}, {"data.a"}),
        ("StatefulSet", {"spec": {**SELECTED, "replica": 1}}, {"spec.replica"}),
        ("StatefulSet", {"spec": {**SELECTED, "replicas": "one"}}, {"spec.replicas"}),
        ("StatefulSet", {"spec": {"template": TEMPLATE}}, {"spec.selector"}),
        ("Pod", {"spec": {"containers": [{**CONTAINER, "port": 80}]}}, {"spec.containers[0].port"}),
        ("kubernetes:example.org/v1:Thing", {"metadata": {"nam": "a"}, "spec": {"any": 1}}, {"metadata.nam"}),
        ("Service", {"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 80}]}}, set()),
        ("Config", {"data": {"a": UNKNOWN}}, set()),
    ],
)
@pytest.mark.skipif(bool(OFFICIAL_KUBERNETES), reason="the official plugin lets these pass")
def test_what_the_sdk_does_not_know_is_refused_by_its_place(offline: KubernetesPlugin, kind: str, inputs, places):
    assert set(offline.check(TOKENS.get(kind, kind), inputs)[1]) == places


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kubecofnig": "a"}, 'no setting "kubecofnig"'),
        ({"renderYamlToDirectory": "a"}, "use the official plugin"),
        ({"enableServerSideApply": "false"}, "use the official plugin"),
    ],
)
@pytest.mark.skipif(bool(OFFICIAL_KUBERNETES), reason="the official plugin has these, and lets unknown ones pass")
def test_settings_that_it_does_not_have_are_refused(offline: KubernetesPlugin, settings: dict[str, str], words: str):
    reply = offline.config(settings)
    assert [each.property for each in reply.failures] == list(settings)
    assert words in reply.failures[0].reason


@pytest.mark.parametrize(
    "token", ["kubernetes:helm.sh/v3:Release", "kubernetes:apps/v1:DeploymentPatch", "kubernetes:core/v1:PodList"]
)
@pytest.mark.skipif(bool(OFFICIAL_KUBERNETES), reason="the official plugin has most of these")
def test_types_that_it_does_not_have_are_refused(offline: KubernetesPlugin, token: str):
    with pytest.raises(grpc.RpcError, match=r"and not|list resources exist"):
        offline.check(token, {})


def test_names_and_namespaces_are_filled_in_once(offline: KubernetesPlugin):
    inputs = offline.checked(TOKENS["Config"], {})
    metadata = inputs["metadata"]
    assert metadata["name"].startswith("it-")
    assert len(metadata["name"]) == len("it-") + 8
    assert metadata["namespace"] == "default"
    assert metadata["annotations"] == {"pulumi.com/autonamed": "true"}
    assert offline.check(TOKENS["Config"], {}, olds=inputs)[0] == inputs
    assert offline.checked(TOKENS["ClusterRole"], {"metadata": {"name": "r"}})["metadata"] == {"name": "r"}


def test_where_no_cluster_answers_a_preview_says_what_it_was_asked(nowhere: str):
    kind = TOKENS["Config"]
    with KubernetesPlugin(nowhere) as plugin:
        inputs = plugin.checked(kind, {"metadata": {"name": "n"}, "data": {"a": "1"}})
        assert plugin.create(kind, inputs, preview=True) == ("", inputs)
        news = {**inputs, "data": {"a": "2"}}
        assert plugin.diff(kind, "default/n", state_of(inputs), news).replaces == ["data.a"]
        assert plugin.update(kind, "default/n", state_of(inputs), news, preview=True) == news
        for failing in (
            lambda: plugin.create(kind, inputs),
            lambda: plugin.read(kind, "default/n", state_of(inputs), inputs),
            lambda: plugin.delete(kind, "default/n", state_of(inputs)),
        ):
            with pytest.raises(grpc.RpcError, match="unreachable"):
                failing()
    with KubernetesPlugin(nowhere, deleteUnreachable="true") as plugin:
        assert plugin.read(kind, "default/n", state_of(inputs), inputs)[0] == ""
        plugin.delete(kind, "default/n", state_of(inputs))
    with KubernetesPlugin(nowhere, skipUpdateUnreachable="true") as plugin:
        assert plugin.check(kind, {"data": {"a": "2"}}, olds=inputs)[0] == inputs


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("65536Ki", "64Mi"),
        ("512Ki", "512Ki"),
        ("1000m", "1"),
        ("0.1", "100m"),
        ("1500", "1500"),
        ("2000", "2k"),
        ("0", "0"),
        (1, "1"),
        ("a lot", "a lot"),
    ],
)
@pytest.mark.skipif(bool(OFFICIAL_KUBERNETES), reason="of the stand-in's own code")
def test_quantities_are_as_the_api_server_gives_them_back(offline: KubernetesPlugin, given, canonical: str):
    limits = {"spec": {"containers": [CONTAINER | {"resources": {"limits": {"memory": given}}}]}}
    inputs = offline.check(TOKENS["Pod"], limits)[0]
    assert inputs["spec"]["containers"][0]["resources"] == {"limits": {"memory": canonical}}


def test_a_definition_is_written_with_dashes_or_underscores(offline: KubernetesPlugin):
    for name in ("x-kubernetes-preserve-unknown-fields", "x_kubernetes_preserve_unknown_fields"):
        version = {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", name: True}}}
        spec = {
            "group": "g",
            "names": {},
            "scope": "Cluster",
            "versions": [version | {"served": True, "storage": True}],
        }
        faults = offline.check(TOKENS["Definition"], {"spec": spec})[1]
        assert set(faults) <= {"spec.names.kind", "spec.names.plural"}


def test_a_text_of_yaml_is_read(offline: KubernetesPlugin):
    text = "kind: ConfigMap\napiVersion: v1\ndata: {a: 2026-01-01}\n---\n---\nkind: Namespace\napiVersion: v1\n"
    found = offline.invoke("kubernetes:yaml:decode", {"text": text, "defaultNamespace": "n"})["result"]
    assert [(each["kind"], each.get("metadata")) for each in found] == [
        ("ConfigMap", {"namespace": "n"}),
        ("Namespace", None),
    ]
    assert found[0]["data"] == {"a": "2026-01-01"}


def test_without_any_kubeconfig_a_preview_says_what_it_was_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with KubernetesPlugin("") as plugin:
        inputs = plugin.checked(TOKENS["Config"], {"data": {"a": "1"}})
        assert inputs["metadata"]["namespace"] == "default"
        assert plugin.create(TOKENS["Config"], inputs, preview=True) == ("", inputs)


SET = {"spec": {**SELECTED, "serviceName": "s", "replicas": 1, "volumeClaimTemplates": [{"spec": CLAIM}]}}
PORTS = {"ports": [{"port": 80}]}
ONE_POD = {"spec": {"containers": [CONTAINER]}}


def with_container(**more: Any) -> Bag:
    return {"spec": {**SELECTED, "template": {**TEMPLATE, "spec": {"containers": [CONTAINER | more]}}}}


@pytest.mark.parametrize(
    ("kind", "olds", "news", "changed", "replaced"),
    [
        ("Config", {"data": {"a": "1"}}, {"data": {"a": "1"}}, set(), False),
        ("Config", {"data": {"a": "1"}}, {"data": {"a": "1", "b.c": "2"}}, {'data["b.c"]'}, True),
        ("Config", {"data": {"a": "1"}}, {"data": {"a": UNKNOWN}}, {"data.a"}, True),
        ("Config", {}, {"metadata": {"labels": {"a": "b"}}}, {"metadata.labels"}, False),
        ("Secret", {"stringData": {"a": "1"}}, {"data": {"a": base64.b64encode(b"1").decode()}}, set(), False),
        ("Secret", {"stringData": {"a": "1"}}, {"stringData": {"a": "2"}}, {"data.a"}, True),
        ("Secret", {"type": "Opaque"}, {"type": "kubernetes.io/tls"}, {"type"}, True),
        ("StatefulSet", SET, {"spec": SET["spec"] | {"replicas": 2}}, {"spec.replicas"}, False),
        ("StatefulSet", SET, {"spec": SET["spec"] | {"serviceName": "t"}}, {"spec.serviceName"}, True),
        ("StatefulSet", SET, {"spec": SET["spec"] | {"revisionHistoryLimit": 2}}, {"spec.revisionHistoryLimit"}, True),
        (
            "StatefulSet",
            SET,
            {"spec": SET["spec"] | {"volumeClaimTemplates": []}},
            {"spec.volumeClaimTemplates[0]"},
            True,
        ),
        (
            "Deployment",
            with_container(),
            with_container(image="b"),
            {"spec.template.spec.containers[0].image"},
            False,
        ),
        (
            "Deployment",
            with_container(resources={"limits": {"memory": "1024Mi", "cpu": "1000m"}}),
            with_container(resources={"limits": {"memory": "1Gi", "cpu": "1"}}),
            set(),
            False,
        ),
        ("Pod", ONE_POD, {"spec": {"containers": [{**CONTAINER, "image": "b"}]}}, {"spec.containers[0].image"}, True),
        ("Pod", ONE_POD, {"spec": ONE_POD["spec"] | {"activeDeadlineSeconds": 9}}, {"spec.activeDeadlineSeconds"}, False),
        ("Job", {"spec": {"template": TEMPLATE}}, {"spec": {"template": {"spec": {}}}}, None, True),
        ("Job", {"spec": {"template": TEMPLATE}}, {"spec": {"template": TEMPLATE, "suspend": True}}, {"spec.suspend"}, False),
        ("CronJob", {"spec": {"schedule": "1 * * * *"}}, {"spec": {"schedule": "2 * * * *"}}, {"spec.schedule"}, False),
        ("Claim", {"spec": CLAIM}, {"spec": CLAIM | {"storageClassName": "b"}}, {"spec.storageClassName"}, True),
        (
            "Claim",
            {"spec": CLAIM},
            {"spec": CLAIM | {"resources": {"requests": {"storage": "2Mi"}}}},
            {"spec.resources.requests.storage"},
            False,
        ),
        ("Service", {"spec": PORTS}, {"spec": {"ports": [{"port": 81}]}}, {"spec.ports[0].port"}, False),
        ("Service", {"spec": PORTS}, {"spec": PORTS | {"clusterIP": "None"}}, {"spec.clusterIP"}, True),
        ("RoleBinding", {"roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}}, {"roleRef.name"}, True),
        ("Policy", {"spec": {"podSelector": {}}}, {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}, None, False),
    ],
)  # fmt: skip
def test_what_replaces_and_what_does_not(offline: KubernetesPlugin, kind, olds, news, changed, replaced):  # noqa: PLR0913, PLR0917 - a table
    token, metadata = TOKENS[kind], {"name": "n", "namespace": "s"}
    before, after = (
        offline.check(token, {**each, "metadata": metadata | each.get("metadata", {})})[0] for each in (olds, news)
    )
    reply = offline.diff(token, "s/n", state_of(before), after)
    assert changed is None or {*reply.detailedDiff} == changed
    assert (reply.changes == reply.DIFF_SOME) is (changed is None or bool(changed))
    assert (bool(reply.replaces), reply.deleteBeforeReplace) == (replaced, replaced)


def test_a_made_name_is_replaced_before_it_is_deleted(offline: KubernetesPlugin):
    inputs = offline.checked(TOKENS["Config"], {"data": {"a": "1"}})
    reply = offline.diff(TOKENS["Config"], "default/n", state_of(inputs), {**inputs, "data": {"a": "2"}})
    assert reply.replaces == ["data.a"]
    assert not reply.deleteBeforeReplace


def test_mutable_data_replace_nothing_unless_the_object_is_immutable(nowhere: str):
    with KubernetesPlugin(nowhere, enableConfigMapMutable="true", enableSecretMutable="true") as plugin:
        for kind in ("Config", "Secret"):
            inputs = plugin.checked(TOKENS[kind], {"metadata": {"name": "n"}, "data": {"a": "YQ=="}})
            for more, replaces in (({}, []), ({"immutable": True}, ["data.a"])):
                news = {**inputs, **more, "data": {"a": "Yg=="}}
                assert plugin.diff(TOKENS[kind], "default/n", state_of({**inputs, **more}), news).replaces == replaces


def test_what_is_ignored_is_no_change(offline: KubernetesPlugin):
    inputs = offline.checked(TOKENS["StatefulSet"], {"metadata": {"name": "n"}, **SET})
    news = {**inputs, "spec": {**inputs["spec"], "replicas": 3}}
    reply = offline.diff(TOKENS["StatefulSet"], "default/n", state_of(inputs), news, ["spec.replicas"])
    assert reply.changes == reply.DIFF_NONE


def test_only_another_cluster_replaces_the_provider(offline: KubernetesPlugin):
    one, other = (kubeconfig_of(f"https://127.0.0.1:{port}") for port in (1, 2))
    same = kubeconfig_of("https://127.0.0.1:1", namespace="elsewhere")
    assert offline.config_diff({"kubeconfig": one}, {"kubeconfig": other}).replaces == ["kubeconfig"]
    assert not offline.config_diff({"kubeconfig": one}, {"kubeconfig": same}).replaces
    named = {"clusterIdentifier": "c"}
    assert not offline.config_diff({"kubeconfig": one, **named}, {"kubeconfig": other, **named}).replaces


@pytest.mark.skipif(bool(OFFICIAL_KUBERNETES), reason="the engine ends the official plugin")
def test_it_ends_when_nobody_reads_its_output(nowhere: str):
    with KubernetesPlugin(nowhere) as plugin:
        assert plugin.process.stdout
        plugin.process.stdout.close()
        assert plugin.process.wait(20) in {0, 1}


class Bench:
    """A plugin, a client of the same cluster, and a namespace of its own."""

    def __init__(self, kubeconfig: str) -> None:
        self.kubeconfig = kubeconfig
        self.core = client.CoreV1Api(config.new_client_from_config(kubeconfig))
        self.dynamic = dynamic.DynamicClient(self.core.api_client)
        self.namespace = f"plugin-{secrets.token_hex(4)}"
        self.core.create_namespace({"metadata": {"name": self.namespace}})
        self.plugin = self.started()

    def started(self, **settings: str) -> KubernetesPlugin:
        return KubernetesPlugin(Path(self.kubeconfig).read_text(), namespace=self.namespace, **settings)

    def make(self, kind: str, inputs: Bag, **more: Any) -> tuple[str, Bag, Bag]:
        """Check and create; return id, state and checked inputs."""
        checked = self.plugin.checked(TOKENS.get(kind, kind), inputs)
        identity, state = self.plugin.create(TOKENS.get(kind, kind), checked, **more)
        return identity, state, checked

    def change(self, kind: str, made: tuple[str, Bag, Bag], news: Bag, **more: Any) -> tuple[str, Bag, Bag]:
        """Check and update; return what make returns."""
        checked = self.plugin.check(TOKENS.get(kind, kind), news, olds=made[2])[0]
        return made[0], self.plugin.update(TOKENS.get(kind, kind), made[0], made[1], checked, **more), checked

    def diff(self, kind: str, made: tuple[str, Bag, Bag]) -> set[str]:
        """Return what a diff sees when nothing is changed."""
        return {*self.plugin.diff(TOKENS.get(kind, kind), *made).detailedDiff}

    def end(self) -> None:
        self.plugin.end()
        self.core.delete_namespace(self.namespace)
        self.core.api_client.close()


@pytest.fixture(scope="module")
def bench(kubeconfig):
    made = Bench(str(kubeconfig))
    try:
        yield made
    finally:
        made.end()


def failed(doing: Callable[[], object]) -> tuple[str, Any]:
    """Return what a failure says, and what it keeps."""
    with pytest.raises(grpc.RpcError) as caught:
        doing()
    return caught.value.details(), left_behind(caught.value)


def test_a_config_map_is_created_read_updated_and_deleted(bench: Bench):
    made = bench.make("Config", {"metadata": {"name": "whole"}, "data": {"a": "1"}})
    identity, state, inputs = made
    assert identity == f"{bench.namespace}/whole"
    assert state["metadata"]["uid"]
    assert not bench.diff("Config", made)
    assert "already exists" in failed(lambda: bench.make("Config", inputs))[0]
    assert bench.plugin.create(TOKENS["Config"], inputs, preview=True) == ("", inputs)
    changed = bench.change("Config", made, {"metadata": {"name": "whole"}, "data": {"b": "2"}})
    assert bench.core.read_namespaced_config_map("whole", bench.namespace).data == {"b": "2"}
    assert not bench.diff("Config", changed)
    bench.core.patch_namespaced_config_map("whole", bench.namespace, {"data": {"b": "3"}})
    identity, state, inputs = bench.plugin.read(TOKENS["Config"], *changed)
    assert (state["data"], inputs["data"]) == ({"b": "3"}, {"b": "3"})
    assert bench.diff("Config", (identity, state, changed[2])) == {"data.b"}
    bench.plugin.delete(TOKENS["Config"], identity, state)
    bench.plugin.delete(TOKENS["Config"], identity, state)
    assert bench.plugin.read(TOKENS["Config"], identity, state, inputs)[0] == ""


def test_an_object_is_known_by_its_name_alone(bench: Bench):
    bench.core.create_namespaced_config_map(bench.namespace, {"metadata": {"name": "found"}, "data": {"a": "1"}})
    made = bench.plugin.read(TOKENS["Config"], f"{bench.namespace}/found", {}, {})
    assert made[2] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "found", "namespace": bench.namespace},
        "data": {"a": "1"},
    }
    assert not bench.diff("Config", made)
    assert bench.plugin.read(TOKENS["Config"], f"{bench.namespace}/lost", {}, {})[0] == ""


def test_what_is_secret_stays_secret(bench: Bench):
    given = {"metadata": {"name": "s"}, "stringData": {"word": secret("hush")}}
    _, state, checked = made = bench.make("Secret", given)
    data = {"word": base64.b64encode(b"hush").decode()}
    assert checked["data"] == state["data"] == state["__inputs"]["data"] == secret(data)
    assert "stringData" not in state
    assert not bench.diff("Secret", made)
    read = bench.plugin.read(TOKENS["Secret"], *made)
    assert read[1]["data"] == read[2]["data"] == secret(data)
    assert bench.core.read_namespaced_secret("s", bench.namespace).data == data
    state = bench.make("Config", {"metadata": {"name": "s"}, "data": {"word": secret("hush"), "other": "a"}})[1]
    assert state["data"] == state["__inputs"]["data"] == {"word": secret("hush"), "other": "a"}


def test_a_preview_asks_the_api_server_and_changes_nothing(bench: Bench):
    service = {"metadata": {"name": "dry"}, "spec": {"ports": [{"port": 80}]}}
    inputs = bench.plugin.checked(TOKENS["Service"], service)
    identity, shown = bench.plugin.create(TOKENS["Service"], inputs, preview=True)
    assert (identity, shown["spec"]["ports"][0]["protocol"], shown.get("status")) == ("", "TCP", None)
    with pytest.raises(ApiException, match="not found"):
        bench.core.read_namespaced_service("dry", bench.namespace)
    made = bench.make("Service", service)
    news = {**made[2], "spec": made[2]["spec"] | {"sessionAffinity": "ClientIP"}}
    shown = bench.plugin.update(TOKENS["Service"], made[0], made[1], news, preview=True)
    assert shown["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
    assert bench.core.read_namespaced_service("dry", bench.namespace).spec.session_affinity == "None"
    wrong = bench.plugin.checked(TOKENS["Service"], {"spec": {"ports": [{"port": 0}]}})
    assert "Invalid value: 0" in failed(lambda: bench.plugin.create(TOKENS["Service"], wrong, preview=True))[0]
    lost = bench.plugin.checked(TOKENS["Config"], {"metadata": {"name": "a", "namespace": "not-yet"}})
    assert bench.plugin.create(TOKENS["Config"], lost, preview=True) == ("", lost)


def test_a_create_waits_for_its_namespace(bench: Bench):
    name = f"{bench.namespace}-late"
    inputs = bench.plugin.checked(TOKENS["Config"], {"metadata": {"name": "a", "namespace": name}})
    assert f'namespaces "{name}" not found' in failed(lambda: bench.plugin.create(TOKENS["Config"], inputs))[0]
    timer = threading.Timer(0.2, lambda: bench.make("Namespace", {"metadata": {"name": name}}))
    timer.start()
    try:
        assert bench.plugin.create(TOKENS["Config"], inputs)[0] == f"{name}/a"
    finally:
        timer.join()
        bench.core.delete_namespace(name)


def test_anothers_fields_are_taken_by_force_alone(bench: Bench):
    given = {"metadata": {"name": "shared"}, "data": {"a": "1", "b": "1"}}
    made = bench.make("Config", given)
    bench.core.patch_namespaced_config_map("shared", bench.namespace, {"data": {"a": "2"}}, field_manager="other")
    news = given | {"data": {"a": "3", "b": "1"}}
    sentence, kept = failed(lambda: bench.change("Config", made, news))
    assert 'conflict with "other"' in sentence
    assert kept.id == made[0]
    forced = {"metadata": {"name": "shared", "annotations": {"pulumi.com/patchForce": "true"}}, "data": news["data"]}
    bench.change("Config", made, forced)
    assert bench.core.read_namespaced_config_map("shared", bench.namespace).data["a"] == "3"


def test_an_existing_object_is_taken_over_where_that_is_asked_for(bench: Bench):
    bench.core.create_namespaced_config_map(
        bench.namespace, {"metadata": {"name": "there"}, "data": {"a": "1"}}, field_manager="other"
    )
    with bench.started(upsertExistingObjects="true") as plugin:
        inputs = plugin.checked(TOKENS["Config"], {"metadata": {"name": "there"}, "data": {"b": "2"}})
        assert plugin.create(TOKENS["Config"], inputs)[1]["data"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("kind", "more", "refused"),
    [("Deployment", {}, ""), ("StatefulSet", {"serviceName": "s"}, "updates to statefulset spec")],
)
def test_a_preview_of_what_is_to_be_replaced_goes_by_another_name_unless_it_is_a_stateful_set(
    bench: Bench, kind: str, more: Bag, refused: str
):
    labels = {"app": "b"}
    other = {"selector": {"matchLabels": labels}, "template": TEMPLATE | {"metadata": {"labels": labels}}}
    about = {"name": "fixed", "annotations": {"pulumi.com/skipAwait": "true"}}
    with bench.started(upsertExistingObjects="true") as plugin:
        for spec in (SELECTED, SELECTED | other):
            given = {"metadata": about, "spec": spec | more | {"replicas": 0}}
            inputs = plugin.checked(TOKENS[kind], given)
            if spec is SELECTED:
                plugin.create(TOKENS[kind], inputs)
        if refused:
            assert refused in failed(lambda: plugin.create(TOKENS[kind], inputs, preview=True))[0]
        else:
            assert plugin.create(TOKENS[kind], inputs, preview=True)[1]["spec"]["selector"] == other["selector"]


@pytest.fixture(scope="module")
def definition(bench: Bench):
    """A kind of the tests' own: its token, apiVersion and kind."""
    group, mark = f"{bench.namespace}.example.org", secrets.token_hex(2)
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
            "status": {"type": "object", "x_kubernetes_preserve_unknown_fields": True},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
        "versions": [version],
    }
    metadata = {"name": f"things.{group}", "annotations": {"pulumi.com/waitFor": "condition=Established"}}
    made = bench.make("Definition", {"metadata": metadata, "spec": spec})
    assert not bench.diff("Definition", made)
    widened = {"spec": spec | {"names": {**spec["names"], "shortNames": [f"th{mark}"]}}, "metadata": metadata}
    made = bench.change("Definition", made, widened)
    try:
        yield f"kubernetes:{group}/v1:Thing"
    finally:
        bench.plugin.delete(TOKENS["Definition"], made[0], made[1])


def test_a_custom_resource_is_as_any_object(bench: Bench, definition: str):
    metadata = {"name": "t", "annotations": {"pulumi.com/deletionPropagationPolicy": "background"}}
    made = bench.make(definition, {"metadata": metadata, "spec": {"size": 1}})
    assert made[0] == f"{bench.namespace}/t"
    assert not bench.diff(definition, made)
    made = bench.change(definition, made, {"metadata": metadata, "spec": {"size": 2}})
    assert made[1]["spec"] == {"size": 2}
    assert 'unknown field "spec.sice"' in failed(lambda: bench.make(definition, {"spec": {"sice": 1}}))[0]
    bench.plugin.delete(definition, made[0], made[1])
    unknown = "kubernetes:none.example.org/v1:Thing"
    inputs = bench.plugin.checked(unknown, {"spec": {}})
    assert bench.plugin.create(unknown, inputs, preview=True) == ("", inputs)
    assert "required CRDs have been created" in failed(lambda: bench.plugin.create(unknown, inputs))[0]
    assert bench.plugin.read(unknown, f"{bench.namespace}/t", state_of(inputs), inputs)[0] == ""


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ("condition=Ready", {"conditions": [{"type": "Ready", "status": "True"}]}),
        ("jsonpath={.status.phase}=Done", {"phase": "Done"}),
        ('["jsonpath={.status.phase}", "condition=Ok=False"]', {"phase": 1, "conditions": [{"type": "ok", "status": "False"}]}),
    ],
)  # fmt: skip
def test_what_an_annotation_asks_for_is_waited_for(bench: Bench, definition: str, wanted: str, status: Bag):
    name = f"w{secrets.token_hex(3)}"
    inputs = {"metadata": {"name": name, "annotations": {"pulumi.com/waitFor": wanted}}}
    short = {**inputs, "metadata": {**inputs["metadata"], "name": f"{name}-late"}}
    sentence, kept = failed(lambda: bench.make(definition, short, timeout=0.3))
    assert "timed out waiting for the condition" in sentence
    assert kept.id == f"{bench.namespace}/{name}-late"
    done: list[tuple[str, Bag, Bag]] = []
    waiting = threading.Thread(target=lambda: done.append(bench.make(definition, inputs)))
    waiting.start()
    api_version = definition.split(":")[1]
    things = bench.dynamic.resources.get(api_version=api_version, kind="Thing")
    wait_until(lambda: _has(things, name, bench.namespace), "the object is there")
    assert not done
    patch = {"status": status}
    things.status.patch(body=patch, name=name, namespace=bench.namespace, content_type="application/merge-patch+json")
    waiting.join(20)
    assert done[0][1]["status"] == status


def _has(things: Any, name: str, namespace: str) -> bool:
    try:
        return bool(things.get(name=name, namespace=namespace))
    except ApiException:
        return False


def test_a_claim_that_binds_late_is_not_waited_for(bench: Bench):
    made = bench.make("Claim", {"metadata": {"name": "late"}, "spec": CLAIM | {"storageClassName": "standard"}})
    assert made[1]["status"]["phase"] == "Pending"
    assert not bench.diff("Claim", made)


def test_a_deletion_that_is_held_up_is_told_and_a_cancel_ends_it(bench: Bench):
    inputs = {"metadata": {"name": "held", "finalizers": ["example.org/held"]}}
    made = bench.make("Config", inputs)
    sentence, kept = failed(lambda: bench.plugin.delete(TOKENS["Config"], made[0], made[1], timeout=0.3))
    assert "timed out waiting for the condition" in sentence
    assert kept.id == made[0]
    with bench.started() as plugin:
        told: list[str] = []
        delete = lambda: plugin.delete(TOKENS["Config"], made[0], made[1])  # noqa: E731
        waiting = threading.Thread(target=lambda: told.append(failed(delete)[0]))
        waiting.start()
        plugin.stub.Cancel(empty_pb2.Empty())
        waiting.join(20)
        assert told == ["context canceled"]
    bench.core.patch_namespaced_config_map("held", bench.namespace, {"metadata": {"finalizers": None}})


def test_a_deployment_and_its_service_are_waited_for(bench: Bench):
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": TEMPLATE["spec"]}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    made = bench.make("Deployment", {"metadata": {"name": "web"}, "spec": spec})
    assert made[1]["status"]["readyReplicas"] == 2
    assert not bench.diff("Deployment", made)
    service = bench.make("Service", {"metadata": {"name": "web"}, "spec": {"selector": labels, **PORTS}})
    assert service[1]["spec"]["clusterIP"]
    annotated = template | {"metadata": {"labels": labels, "annotations": {"a": "2"}}}
    made = bench.change("Deployment", made, {"metadata": {"name": "web"}, "spec": spec | {"template": annotated}})
    assert made[1]["status"]["updatedReplicas"] == 2
    assert bench.plugin.read(TOKENS["Deployment"], *made)[0] == made[0]
    bench.plugin.delete(TOKENS["Deployment"], made[0], made[1])
    assert not bench.core.list_namespaced_pod(bench.namespace, label_selector="app=web").items


def test_a_stateful_set_is_waited_for(bench: Bench):
    labels = {"app": "set"}
    template = {"metadata": {"labels": labels}, "spec": TEMPLATE["spec"]}
    claim = {"metadata": {"name": "data"}, "spec": CLAIM}
    spec = {"selector": {"matchLabels": labels}, "template": template, "serviceName": "set", "replicas": 1}
    bench.make("Service", {"metadata": {"name": "set"}, "spec": {"selector": labels, "clusterIP": "None"}})
    given = {"metadata": {"name": "set"}, "spec": spec | {"volumeClaimTemplates": [claim]}}
    made = bench.make("StatefulSet", given)
    assert made[1]["status"]["readyReplicas"] == 1
    assert not bench.diff("StatefulSet", made)
    made = bench.change("StatefulSet", made, {**given, "spec": given["spec"] | {"replicas": 2}})
    assert made[1]["status"]["readyReplicas"] == 2
    bench.plugin.delete(TOKENS["StatefulSet"], made[0], made[1])


@pytest.mark.parametrize(
    ("more", "words"),
    [({"image": "localhost/none:1"}, "[ErrImageNeverPull]"), ({"command": ["/none"]}, "no such file")],
)
def test_what_a_pod_suffers_from_is_told(bench: Bench, more: Bag, words: str):
    name = f"sick{secrets.token_hex(2)}"
    template = {"metadata": {"labels": {"app": name}}, "spec": {**TEMPLATE["spec"], "containers": [CONTAINER | more]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template, "serviceName": name}
    metadata = {"name": name, "annotations": {"pulumi.com/timeoutSeconds": "3"}}
    sentence, kept = failed(lambda: bench.make("StatefulSet", {"metadata": metadata, "spec": spec}))
    assert "timed out waiting to be Ready" in sentence
    assert "0 out of 1 replicas succeeded readiness checks" in kept.reasons
    assert words in "".join(kept.reasons)
    state = bag(kept.properties)
    assert (
        "failed to initialize"
        in failed(lambda: bench.plugin.read(TOKENS["StatefulSet"], kept.id, state, state["__inputs"]))[0]
    )
    bench.plugin.delete(TOKENS["StatefulSet"], kept.id, state)


def test_nothing_is_waited_for_where_an_annotation_says_so(bench: Bench):
    metadata = {"name": "patient", "annotations": {"pulumi.com/skipAwait": "true"}}
    spec = {"containers": [CONTAINER | {"image": "localhost/none:1"}]}
    made = bench.make("Pod", {"metadata": metadata, "spec": spec})
    assert made[1]["status"]["phase"] == "Pending"
    bench.plugin.delete(TOKENS["Pod"], made[0], made[1])


def job(name: str, program: str) -> Bag:
    """Return a Job that runs a program of this machine: the image has none."""
    mounted = {"/usr": "/usr", "/lib": "/usr/lib", "/lib64": "/usr/lib64"}
    container = CONTAINER | {
        "command": [program],
        "volumeMounts": [{"name": path[1:], "mountPath": path, "readOnly": True} for path in mounted],
    }
    volumes = [{"name": path[1:], "hostPath": {"path": source}} for path, source in mounted.items()]
    pod = {"containers": [container], "volumes": volumes, "restartPolicy": "Never"}
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod}, "backoffLimit": 0}}


def test_a_job_is_waited_for_until_it_succeeds_or_fails(bench: Bench):
    made = bench.make("Job", job("good", "/usr/bin/true"))
    assert made[1]["status"]["succeeded"] == 1
    assert not bench.diff("Job", made)
    _, kept = failed(lambda: bench.make("Job", job("bad", "/usr/bin/false")))
    assert "[BackoffLimitExceeded]" in "".join(kept.reasons)
    assert "exit code 1" in "".join(kept.reasons)


PROGRAM = """
import pulumi, pulumi_kubernetes as kubernetes
settings = pulumi.Config()
provider = kubernetes.Provider("cluster", kubeconfig=settings.require("kubeconfig"), namespace=settings.require("namespace"))
inside = pulumi.ResourceOptions(provider=provider)
labels = {"app": "engine"}
word = kubernetes.core.v1.Secret("word", string_data={"word": pulumi.Output.secret("hush-hush")}, opts=inside)
plain = kubernetes.core.v1.ConfigMap("plain", data={"size": settings.require("size")}, opts=inside)
pod = {
    "containers": [{
        "name": "c", "image": settings.require("image"), "imagePullPolicy": "Never",
        "env_from": [{"config_map_ref": {"name": plain.metadata.name}}, {"secret_ref": {"name": word.metadata.name}}],
        "resources": {"limits": {"memory": "65536Ki", "cpu": "100m"}},
    }],
    "host_network": False, "termination_grace_period_seconds": 0,
}
web = kubernetes.apps.v1.Deployment("web", spec={
    "selector": {"match_labels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod},
}, opts=inside)
service = kubernetes.core.v1.Service("web", metadata={"name": "engine"}, spec={
    "selector": web.spec.selector.match_labels, "ports": [{"port": 80}],
}, opts=inside)
pulumi.export("address", service.spec.cluster_ip)
pulumi.export("ready", web.status.ready_replicas)
"""


@pytest.fixture
def pulumi(bench: Bench, tmp_path: Path):
    """Run the engine on a small program of its own, with a backend in a folder."""
    (tmp_path / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    home = {"PULUMI_BACKEND_URL": f"file://{tmp_path}", "PULUMI_HOME": str(tmp_path / "home")}
    words = {"PULUMI_CONFIG_PASSPHRASE": "a test's own", "PULUMI_SKIP_UPDATE_CHECK": "true"}
    path = os.pathsep.join([str(Path(KUBERNETES_PLUGIN).parent), str(Path(sys.executable).parent), os.environ["PATH"]])

    def run(*arguments: str) -> str:
        command = ["pulumi", *arguments, "--non-interactive", "--stack", "small"]
        environment = os.environ | home | words | {"PATH": path, "KUBERNETES_PLUGIN_SETTLED": "0.5"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stdout + done.stderr
        return done.stdout

    run("stack", "init")
    values = {"kubeconfig": bench.kubeconfig, "namespace": bench.namespace, "image": images.pause(), "size": "1"}
    for name, value in values.items():
        run("config", "set", name, value)
    return run


@pytest.mark.skipif(not shutil.which("pulumi"), reason="no engine on PATH")
def test_the_engine_brings_a_stack_up_and_down_with_it(bench: Bench, pulumi):
    pulumi("preview")
    pulumi("up", "--yes", "--skip-preview")
    assert pulumi("stack", "output", "address").strip()
    assert pulumi("stack", "output", "ready").strip() == "1"
    exported = pulumi("stack", "export")
    assert "hush-hush" not in exported
    assert base64.b64encode(b"hush-hush").decode() not in exported
    pulumi("preview", "--expect-no-changes")
    pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    pulumi("config", "set", "size", "2")
    steps = json.loads(pulumi("preview", "--json"))["changeSummary"]
    assert (steps.get("replace"), steps.get("update")) == (1, 1)
    pulumi("up", "--yes", "--skip-preview")
    pulumi("preview", "--expect-no-changes")
    bench.core.delete_namespaced_service("engine", bench.namespace)
    pulumi("refresh", "--yes", "--skip-preview")
    resources = json.loads(pulumi("stack", "export"))["deployment"]["resources"]
    assert not [each for each in resources if each["type"].endswith("Service")]
    pulumi("destroy", "--yes", "--skip-preview")
    assert not bench.core.list_namespaced_pod(bench.namespace, label_selector="app=engine").items


def test_the_product_does_not_know_it():
    sources = [path for folder in ("keelson", "components", "providers") for path in (CHECKOUT / folder).rglob("*.py")]
    assert sources
    assert not [path for path in sources if "kubernetes_plugin" in path.read_text()]
