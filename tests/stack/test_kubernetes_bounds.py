"""A whole stack in a cluster with what an administrator wants of it: a quota, a page under a public name, a password from outside."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keelson.kubernetes import external
from keelson.kubernetes.cluster import Cluster
from tests.stack.harness import changed, wait_until
from tests.stack.kubernetes_stack import KubernetesStack
from tools.kubernetes import crds

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough, pytest.mark.timeout(900)]
LOGIN = "notes_app_a"
FIRST, SECOND = "from a store: é:\\'1", "another one"
HOST = "db.example.com"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KINDS = [*crds.DEFINITIONS]
OUTSIDE = {"store": "vault", "kind": "ClusterSecretStore", "passwords": {LOGIN: {"key": "notes", "property": "app"}}}
ASKED = {"memory": "5376Mi", "pods": 5, "storage": "192Mi", "cpus": 1}
MADE = {
    "resourcequotas": "v1",
    "limitranges": "v1",
    "ingresses": "networking.k8s.io/v1",
    "externalsecrets": external.API,
    "serviceaccounts": "v1",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path, docker_host: str) -> Iterator[KubernetesStack]:
    """A stack that is not up yet, in a cluster that knows no ExternalSecret."""
    pgadmin = {"enabled": True, "ingress": {"host": HOST, "class": "nginx", "tls_secret": "db-tls"}}
    home = tmp_path_factory.mktemp("bounds")
    made = KubernetesStack(home, kubeconfig, docker_host, environment="staging", pgadmin=pgadmin)
    made.write_service("notes")
    _bound(made, ASKED)
    _forget_kinds(made.cluster)
    try:
        yield made
    finally:
        made.end()
        _forget_kinds(made.cluster)


def _bound(stack: KubernetesStack, quota: dict[str, Any]) -> None:
    stack.write_settings(kubernetes=stack.settings["kubernetes"] | {"quota": quota, "external_secrets": OUTSIDE})


def _forget_kinds(found: Cluster) -> None:
    for name in KINDS:
        found.delete(f"{DEFINITIONS}/{name}")
        wait_until(lambda name=name: found.get(f"{DEFINITIONS}/{name}") is None, f"{name} is gone", 60)


def _learn_kinds(found: Cluster) -> None:
    for name in KINDS:
        found.apply(f"{DEFINITIONS}/{name}", yaml.safe_load(crds.ensure(name).read_text()))
    for name in KINDS:
        wait_until(lambda name=name: _established(found, name), f"{name} is known", 60)


def _established(found: Cluster, name: str) -> bool:
    conditions = ((found.get(f"{DEFINITIONS}/{name}") or {}).get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _bring(stack: KubernetesStack, password: str) -> None:
    """Do what the operator does: write the Secret that the ExternalSecret asks for."""
    found = stack.cluster
    wanted = found.get(found.at("externalsecrets", external.SECRET, api=external.API))
    assert wanted
    (entry,) = wanted["spec"]["data"]
    text = base64.b64encode(password.encode()).decode()
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": wanted["spec"]["target"]["name"]}}
    found.apply(found.at("secrets", external.SECRET), body | {"data": {entry["secretKey"]: text}})


def _names(stack: KubernetesStack, kind: str) -> set[str]:
    found = stack.cluster
    return {each["metadata"]["name"] for each in found.items(found.at(kind, api=MADE[kind]))} - {"default"}


def _said(stack: KubernetesStack, *arguments: str) -> str:
    done = stack.keelson(*arguments, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_does_not_fit_is_one_sentence_and_nothing_is_made(stack: KubernetesStack) -> None:
    _bound(stack, ASKED | {"memory": "4Gi"})
    assert "asks for 5.25Gi of memory, with all backups and drills at once" in _said(stack, "preview")
    _bound(stack, ASKED)
    said = _said(stack, "up")
    assert "knows no ExternalSecret of external-secrets.io/v1; install what brings it, or take out the setting" in said
    assert stack.cluster.get(f"/api/v1/namespaces/{stack.key}") is None


def test_it_comes_up_within_its_quota_once_the_password_is_brought(stack: KubernetesStack) -> None:
    _learn_kinds(stack.cluster)
    up = stack.start("up", "--yes")
    try:
        wait_until(lambda: external.SECRET in _names(stack, "externalsecrets"), "the password is asked for", 120)
        _bring(stack, FIRST)
        said, _ = up.communicate(timeout=400)
    finally:
        up.kill()
    assert up.returncode == 0, said
    assert FIRST not in json.dumps(stack.export(), ensure_ascii=False)
    assert stack.passwords()[f"main/{LOGIN}"] == FIRST
    with stack.connect("notes") as connection:
        assert connection.execute("SELECT current_user").fetchone() == (LOGIN,)
    found = stack.cluster
    quota = found.get(found.at("resourcequotas", "quota"))
    assert quota
    assert quota["status"]["used"]["requests.memory"] == "3840Mi", "a server, pgAdmin and the toolbox"


def test_pods_of_others_that_say_nothing_are_taken(stack: KubernetesStack) -> None:
    context = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 1,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {"name": "other", "image": "other:1", "securityContext": context | {"seccompProfile": {"type": "RuntimeDefault"}}}  # fmt: skip
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}, "spec": {"containers": [container]}}
    taken = stack.cluster._change("POST", stack.cluster.at("pods"), body, dryRun="All")
    assert taken["spec"]["containers"][0]["resources"]["limits"] == {"memory": "256Mi"}


ACCOUNTS = {"main", "pgadmin", "toolbox", "backup", "drill"}


def test_each_pod_has_an_account_of_its_own_and_no_token(stack: KubernetesStack) -> None:
    for pod in stack.items("pods"):
        assert pod["spec"]["serviceAccountName"] in ACCOUNTS
        assert not any("projected" in volume for volume in pod["spec"]["volumes"])
    assert _names(stack, "serviceaccounts") == ACCOUNTS


def test_its_page_is_told_by_its_public_name_and_answers_to_no_other(stack: KubernetesStack) -> None:
    assert json.loads(stack.keelson("pgadmin", "--json").stdout)["url"] == f"https://{HOST}/"
    wait_until(lambda: stack.keelson("status", check=False).returncode == 0, "all is well", 180)
    port = stack.port("pgadmin")
    status, headers = _ask(port, HOST)
    cookies = ",".join(headers.get_all("Set-Cookie") or [])
    assert (status, "Secure" in cookies) == (200, True), cookies
    assert headers["Strict-Transport-Security"]
    assert _ask(port, "evil.example")[0] == 403


def _ask(port: int, host: str) -> tuple[int, http.client.HTTPMessage]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        headers = {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
        connection.request("GET", "/login", headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers


def test_a_password_that_changed_outside_is_taken_over_by_the_next_up(stack: KubernetesStack) -> None:
    assert not changed(stack.keelson("up", "--yes").stdout)
    _bring(stack, SECOND)
    with stack.connect("notes"):  # until then all is as before
        pass
    stack.keelson("up", "--yes")
    with stack.connect("notes") as connection:
        assert connection.execute("SELECT current_user").fetchone() == (LOGIN,)
    assert stack.passwords()[f"main/{LOGIN}"] == SECOND
    assert not changed(stack.keelson("up", "--yes").stdout)


def test_a_secret_that_is_gone_is_waited_for_and_then_named(
    stack: KubernetesStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stack.here():
        monkeypatch.setattr(external, "SECONDS", 0.5)
        stack.delete("secrets", external.SECRET)
        with pytest.raises(
            external.UnreachableError, match=rf"did not bring {LOGIN} into the Secret keelson-passwords"
        ):
            external.take(stack.place, stack.key, {LOGIN: ["main"]})


def test_a_route_of_a_gateway_is_as_its_definition_wants_it(stack: KubernetesStack) -> None:
    from components.targets import page  # noqa: PLC0415 - imports pulumi
    from keelson.settings.pgadmin import GatewaySettings  # noqa: PLC0415

    spec = page.route(GatewaySettings(host=HOST, name="public", namespace="gateways"), 5050)
    body = {"apiVersion": page.ROUTE["api_version"], "kind": page.ROUTE["kind"], "metadata": {"name": "pgadmin"}}
    path = stack.cluster.at("httproutes", api=page.ROUTE["api_version"])
    assert stack.cluster.create(path, body | {"spec": spec}, trial=True)["spec"]["hostnames"] == [HOST]


def test_a_destroy_takes_all_of_it_away(stack: KubernetesStack) -> None:
    stack.keelson("destroy", "--yes", "--confirm", stack.name)
    for kind in MADE:
        wait_until(lambda kind=kind: not _names(stack, kind), f"no {kind} are left", 60)
