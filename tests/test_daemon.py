"""The daemon that the tests start: that it ends whatever happens, and that its networks do what the product needs."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests import daemon
from tests.plugins.conftest import api, image  # noqa: F401 - a daemon's client and a small image
from tests.stack.harness import wait_until

pytestmark = pytest.mark.docker

STARTED_HERE = os.geteuid() == 0 and shutil.which("dockerd")
CLOSED = {"com.docker.network.bridge.enable_icc": "false", "com.docker.network.bridge.enable_ip_masquerade": "false"}
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=1).status)"


@pytest.fixture
def containers(api: docker.APIClient, image: str) -> Iterator[Containers]:  # noqa: F811
    made = Containers(api, image)
    try:
        yield made
    finally:
        made.end()


class Containers:
    """Containers and networks of one test, on the run's daemon."""

    def __init__(self, client: docker.APIClient, name: str) -> None:
        self.api, self.image, self.mark = client, name, f"daemon-{secrets.token_hex(4)}"
        self.containers: list[str] = []
        self.networks: list[str] = []

    def network(self, name: str, **more: object) -> str:
        self.networks.append(self.api.create_network(f"{self.mark}-{name}", **more)["Id"])
        return self.networks[-1]

    def start(self, command: list[str], network: str, alias: str = "", ports: dict | None = None) -> str:
        mount = docker.types.Mount("/usr", "/usr", "bind", read_only=True)
        host = self.api.create_host_config(mounts=[mount], port_bindings=ports, network_mode=network)
        endpoint = self.api.create_endpoint_config(aliases=[alias] if alias else None)
        made = self.api.create_container(
            self.image, command, ports=list(ports or ()), host_config=host,
            networking_config=self.api.create_networking_config({network: endpoint}),
        )  # fmt: skip
        self.containers.append(made["Id"])
        self.api.start(made["Id"])
        return self.containers[-1]

    def serve(self, network: str, alias: str, ports: dict | None = None) -> str:
        return self.start(["python3", "-m", "http.server", "80", "-d", "/usr/share"], network, alias, ports)

    def fetches(self, network: str, url: str) -> bool:
        container = self.start(["python3", "-c", FETCH, url], network)
        return self.api.wait(container)["StatusCode"] == 0

    def address(self, container: str) -> str:
        (network,) = self.api.inspect_container(container)["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def end(self) -> None:
        for container in self.containers:
            self.api.remove_container(container, v=True, force=True)
        for network in self.networks:
            self.api.remove_network(network)


def test_a_port_published_on_a_closed_network_answers_this_machine(containers: Containers):
    network = containers.network("ports", options=CLOSED)
    container = containers.serve(network, "main", ports={80: ("127.0.0.1", None)})
    port = containers.api.port(container, 80)[0]["HostPort"]
    wait_until(lambda: _answers(f"http://127.0.0.1:{port}"), "the published port answers", seconds=20)


def test_neighbours_reach_each_other_by_name_and_nobody_else(containers: Containers):
    inside, other = containers.network("inside", internal=True), containers.network("other", internal=True)
    containers.serve(inside, "main")
    apart = containers.address(containers.serve(other, "apart"))
    wait_until(lambda: containers.fetches(inside, "http://main"), "the neighbour answers", seconds=20)
    wait_until(lambda: containers.fetches(other, "http://apart"), "the other one answers", seconds=20)
    assert not containers.fetches(inside, f"http://{apart}")


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(url, timeout=3).close()  # noqa: S310 - of our own making
        return True
    return False


@pytest.fixture
def run() -> Iterator[subprocess.Popen[bytes]]:
    """A process that a test run could be."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def _guard(run: subprocess.Popen[bytes], cache: Path) -> tuple[subprocess.Popen[str], str]:
    guard = subprocess.Popen(
        [sys.executable, "-m", "tests.daemon", str(run.pid)],
        cwd=daemon.CHECKOUT, env=os.environ | {"XDG_CACHE_HOME": str(cache)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert guard.stdout
    with guard.stdout:
        return guard, guard.stdout.readline().strip()


@pytest.mark.skipif(not STARTED_HERE, reason="no dockerd that this user may start")
def test_the_daemon_ends_with_its_run_and_all_that_it_ran(run, tmp_path: Path):
    guard, host = _guard(run, tmp_path)
    client = docker.APIClient(host, version="auto")
    slot = Path(host.removeprefix("unix://")).parent
    dockerd = int((slot / "pid").read_text())
    network = client.create_network("left-behind")["Id"]
    client.close()
    run.send_signal(signal.SIGKILL)
    assert guard.wait(60) == 0
    assert not Path(f"/proc/{dockerd}").exists()
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout)
    assert f"br-{network[:12]}" not in {link["ifname"] for link in links}


@pytest.mark.skipif(not STARTED_HERE, reason="no dockerd that this user may start")
def test_a_killed_guard_takes_the_daemon_along_and_a_damaged_data_root_is_made_anew(run, tmp_path: Path):
    guard, host = _guard(run, tmp_path)
    slot = Path(host.removeprefix("unix://")).parent
    dockerd = os.pidfd_open(int((slot / "pid").read_text()))
    try:
        guard.kill()
        guard.wait()
        assert daemon.select.select([dockerd], [], [], 30)[0]
    finally:
        os.close(dockerd)
    data = tmp_path / "keelson" / "docker-test" / slot.name
    shutil.rmtree(data / "network")
    (data / "network").write_text("damage")
    guard, host = _guard(run, tmp_path)
    try:
        assert host == f"unix://{slot}/docker.sock"
        assert (data / "network").is_dir()
    finally:
        guard.terminate()
        assert guard.wait(60) == 0


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_daemon_tests_are_skipped_but_fail_in_ci(monkeypatch, ci: str, outcome: type[Exception]):
    monkeypatch.delenv(daemon.VARIABLE, raising=False)
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 1000)
    daemon.host.cache_clear()
    try:
        with pytest.raises(outcome, match=f"only root can start a Docker daemon; or name in {daemon.VARIABLE}"):
            daemon.docker_host.__wrapped__()
    finally:
        daemon.host.cache_clear()
