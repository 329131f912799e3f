"""The test cluster itself: that it is a real Kubernetes, and that nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import kubernetes
import pytest
from kubernetes.client import ApiException, CoreV1Api, V1Pod
from kubernetes.stream import portforward, stream

from keelson.errors import PlatformError
from tests import cluster as shared
from tests.stack.harness import wait_until
from tools.kubernetes import cluster, groups, place, programs
from tools.kubernetes.api import Api, RefusedError
from tools.machine.kubernetes import lacking

STARTED_HERE = os.geteuid() == 0 and not lacking() and not programs.missing("node")
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=2).status)"
SERVE = ["python3", "-m", "http.server", "80", "-d", "/usr/share"]


@pytest.fixture(scope="module")
def client(kubeconfig: Path) -> Iterator[kubernetes.client.ApiClient]:
    with kubernetes.config.new_client_from_config(str(kubeconfig)) as made:
        yield made


@pytest.fixture(scope="module")
def core(client: kubernetes.client.ApiClient) -> CoreV1Api:
    return CoreV1Api(client)


@pytest.fixture(scope="module")
def image(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image by its digest: programs come from the node's /usr."""
    archive = shared.archive_of_links(tmp_path_factory.mktemp("image") / "bare.tar", "keelson-test/bare:1")
    _, by_digest = shared.load(kubeconfig, archive)
    return by_digest


@pytest.fixture
def namespace(core: CoreV1Api) -> Iterator[Callable[..., str]]:
    made: list[str] = []

    def make(**labels: str) -> str:
        name = f"cluster-{secrets.token_hex(4)}"
        core.create_namespace({"metadata": {"name": name, "labels": labels}})
        made.append(name)
        wait_until(lambda: core.list_namespaced_service_account(name).items, "there is an account", seconds=20)
        return name

    yield make
    for name in made:
        core.delete_namespace(name)


def _pod(core: CoreV1Api, namespace: str, name: str, image: str, claim: str | None = None) -> V1Pod:
    mounts = [{"name": "usr", "mountPath": "/usr", "readOnly": True}]
    volumes: list[dict[str, object]] = [{"name": "usr", "hostPath": {"path": "/usr"}}]
    if claim:
        mounts.append({"name": "data", "mountPath": "/data"})
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
    container = {
        "name": "main",
        "image": image,
        "command": SERVE,
        "volumeMounts": mounts,
        "imagePullPolicy": "IfNotPresent",
    }
    probe = {"tcpSocket": {"port": 80}, "periodSeconds": 1}
    spec = {
        "containers": [container | {"readinessProbe": probe}],
        "volumes": volumes,
        "terminationGracePeriodSeconds": 0,
    }
    core.create_namespaced_pod(namespace, {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})

    def ready() -> bool:
        conditions = core.read_namespaced_pod(name, namespace).status.conditions or ()
        return any(each.type == "Ready" and each.status == "True" for each in conditions)

    wait_until(ready, f"pod {name} is ready", seconds=60)
    return core.read_namespaced_pod(name, namespace)


def _execute(core: CoreV1Api, namespace: str, pod: str, *command: str) -> str:
    execute = core.connect_get_namespaced_pod_exec
    asked = {"stdout": True, "stderr": True, "stdin": False, "tty": False, "_preload_content": False}
    answer = stream(execute, pod, namespace, command=list(command), **asked)
    answer.run_forever(timeout=20)
    answer.sock.shutdown()
    return str(answer.read_all())


def _through_a_forwarded_port(core: CoreV1Api, namespace: str, pod: str, request: bytes) -> bytes:
    forwarded = portforward(core.connect_get_namespaced_pod_portforward, pod, namespace, ports="80")
    connection = forwarded.socket(80)
    connection.settimeout(20)
    connection.sendall(request)
    answer = b"".join(iter(lambda: connection.recv(4096), b""))
    forwarded.close()
    for each in threading.enumerate():
        if each.name.startswith("Kubernetes port forward"):
            each.join(20)
    forwarded.websocket.shutdown()
    return answer


def test_the_api_answers_in_the_version_that_is_pinned(client):
    answered = kubernetes.client.VersionApi(client).get_code()
    assert answered.git_version == programs.named("kube-apiserver").version


def test_a_restricted_namespace_refuses_a_privileged_pod(core, namespace):
    name = namespace(**{"pod-security.kubernetes.io/enforce": "restricted"})
    container = {"name": "main", "image": "any", "securityContext": {"privileged": True}}
    with pytest.raises(ApiException, match="violates PodSecurity") as refused:
        core.create_namespaced_pod(name, {"metadata": {"name": "p"}, "spec": {"containers": [container]}})
    assert refused.value.status == 403


def test_a_dry_run_of_the_server_rejects_an_unknown_field(kubeconfig: Path):
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "unheard": 1}}
    with pytest.raises(RefusedError, match=r"unknown field ..spec\.unheard") as refused:
        Api(kubeconfig).ask("POST", "/api/v1/namespaces/default/services?dryRun=All&fieldValidation=Strict", service)
    assert refused.value.status == 400


def test_a_node_may_not_speak_for_another(kubeconfig: Path):
    own = kubeconfig.with_name("node.kubeconfig")
    if not own.exists():
        pytest.skip("the cluster is not one of tools/cluster")
    with kubernetes.config.new_client_from_config(str(own)) as node:
        assert CoreV1Api(node).read_node(place.NODE)
        with pytest.raises(ApiException) as refused:
            CoreV1Api(node).list_namespaced_secret("kube-system")
    assert refused.value.status == 403


def test_a_pod_runs_and_is_reached_by_its_services_name_by_exec_and_by_a_forwarded_port(core, namespace, image):
    name = namespace()
    _pod(core, name, "web", image)
    ports = [{"port": 8000, "targetPort": 80}]
    core.create_namespaced_service(
        name, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}}
    )
    url = f"http://web.{name}.svc.cluster.local:8000/"
    wait_until(
        lambda: _execute(core, name, "web", "python3", "-c", FETCH, url) == "200\n", "the service answers", seconds=20
    )
    assert _through_a_forwarded_port(core, name, "web", b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200")


def test_a_claim_gets_a_volume_that_grows_and_does_not_shrink(core, namespace, image):
    name = namespace()

    def claim(size: str) -> dict[str, object]:
        return {"resources": {"requests": {"storage": size}}}

    spec = {"accessModes": ["ReadWriteOnce"], **claim("1Gi")}
    core.create_namespaced_persistent_volume_claim(name, {"metadata": {"name": "data"}, "spec": spec})
    _pod(core, name, "user", image, "data")
    core.patch_namespaced_persistent_volume_claim("data", name, {"spec": claim("2Gi")})

    def capacity() -> str:
        return str(core.read_namespaced_persistent_volume_claim("data", name).status.capacity["storage"])

    wait_until(lambda: capacity() == "2Gi", "the claim has grown", seconds=20)
    with pytest.raises(ApiException, match=r"can not be less than status\.capacity"):
        core.patch_namespaced_persistent_volume_claim("data", name, {"spec": claim("1Gi")})
    volume = core.read_namespaced_persistent_volume_claim("data", name).spec.volume_name
    core.delete_namespaced_pod("user", name)
    core.delete_namespaced_persistent_volume_claim("data", name)
    wait_until(
        lambda: volume not in {each.metadata.name for each in core.list_persistent_volume().items},
        "it is gone",
        seconds=30,
    )


@pytest.fixture
def run() -> Iterator[subprocess.Popen[bytes]]:
    """A process that a test run could be."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


class Left:
    """What of a cluster is left on this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.where = directory, place.read(directory)
        self.keeper = cluster.keeper_of(self.where)
        assert self.keeper
        self.processes: list[int] = []
        for each in self._all():
            with contextlib.suppress(ProcessLookupError):  # some are short-lived
                self.processes.append(os.pidfd_open(each))

    def _all(self) -> set[int]:
        return {
            int(each)
            for at, _, _ in groups.hierarchies()
            for each in (at / self.where.link).glob("**/cgroup.procs")
            for each in each.read_text().split()
        }

    def parts(self) -> list[str]:
        """Name what there is."""
        looks = {"processes": self.running, "link": self.link, "mounts": self.mounted, "groups": self.groups}
        return [name for name, is_left in looks.items() if is_left()]

    def running(self) -> bool:
        return len(select.select(self.processes, [], [], 0)[0]) < len(self.processes)

    def link(self) -> bool:
        links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout)
        return self.where.link in {each["ifname"] for each in links}

    def mounted(self) -> bool:
        return str(self.directory) in Path("/proc/mounts").read_text()

    def groups(self) -> bool:
        return any((at / self.where.link).exists() for at, _, _ in groups.hierarchies())


@pytest.mark.skipif(not STARTED_HERE, reason="no test cluster can be made here; `tools/setup kubernetes` tells why")
def test_an_api_answers_soon_and_ends_with_its_run_and_leaves_nothing(run, tmp_path: Path):
    directory, began = tmp_path / "cluster", time.monotonic()
    kubeconfig = cluster.up(directory, "api", until=run.pid)
    try:
        assert time.monotonic() - began < 30
        assert kubeconfig.stat().st_mode & 0o777 == 0o600
        left = Left(directory)
        run.kill()
        wait_until(lambda: not directory.exists(), "the keeper has cleared away", seconds=20)
        assert left.parts() == []
    finally:
        cluster.down(directory)


@pytest.mark.skipif(not STARTED_HERE, reason="no test cluster can be made here; `tools/setup kubernetes` tells why")
def test_a_killed_keeper_takes_node_and_pods_along_and_down_clears_the_rest(tmp_path: Path):
    directory = tmp_path / "cluster"
    cluster.up(directory)
    try:
        left = Left(directory)
        os.kill(left.keeper, signal.SIGKILL)
        wait_until(lambda: left.parts() in ([], ["groups"]), "all have ended", seconds=20)
    finally:
        cluster.down(directory)
    assert left.parts() == []
    assert not directory.exists()


def test_a_second_cluster_in_a_directory_is_refused(kubeconfig: Path):
    if not (kubeconfig.parent / "cluster.json").exists():
        pytest.skip("the cluster is not one of tools/cluster")
    with pytest.raises(PlatformError, match=r"runs in .* already; end it with `tools/cluster down"):
        cluster.up(kubeconfig.parent)


def test_to_take_down_what_is_not_there_is_no_fault(tmp_path: Path):
    cluster.down(tmp_path)


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_cluster_tests_are_skipped_but_fail_in_ci(monkeypatch, ci: str, outcome: type[Exception]):
    monkeypatch.delenv(shared.VARIABLE, raising=False)
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(cluster, "runs", lambda _: False)
    monkeypatch.setattr(cluster, "lacking", lambda: ["runc"])
    shared.running.cache_clear()
    try:
        with pytest.raises(outcome, match="this machine lacks runc; `tools/setup kubernetes` installs"):
            shared.kubeconfig.__wrapped__()
    finally:
        shared.running.cache_clear()
