"""What a stack on a Docker daemon survives: each fault ends by itself or in one sentence, and no committed row is lost."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import psycopg
import pytest
import requests
from docker.models.containers import Container

from keelson.docker import names
from tests.daemon import clear, take_slot
from tests.stack.docker_stack import DockerStack
from tests.stack.harness import wait_until
from tests.stack.test_faults import kill_up_after

pytestmark = pytest.mark.thorough
KILLS = 6
HUNGRY = "SELECT array_agg(repeat('x', 1000) || n) FROM generate_series(1, 10000000) AS n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, docker_host: str) -> Iterator[DockerStack]:
    """A stack that all tests of this module harm and mend in turn; each adds a row."""
    port = free_port()  # not one that a stack beside it may have
    settings = {"main": {"memory": "256mb", "preferred_port": port}}
    made = DockerStack(tmp_path_factory.mktemp("docker"), docker_host, servers=settings)
    made.write_service("notes")
    try:
        with taken(port):
            assert re.search(rf"port {port} is in use by .*; taking \d+", made.keelson("up").stdout)
        yield made
    finally:
        made.end()


@pytest.fixture
def rows(stack: DockerStack) -> Iterator[None]:
    """What was committed before the fault is there after it, and the stack is well."""
    before = stack.count("notes", "notes")
    with stack.connect("notes", "migrator") as connection:
        connection.execute("SET ROLE notes_owner")
        connection.execute("INSERT INTO notes (body) VALUES ('committed')")
    yield
    wait_until(lambda: _well(stack), "the stack is well", seconds=30)
    assert stack.count("notes", "notes") == before + 1
    with stack.connect("notes") as connection:  # as the application, whose password it is too
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (before + 1,)


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Another process of this machine listens on a port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _port(stack: DockerStack) -> int:
    return int(stack.url("notes").rpartition(":")[2].partition("/")[0])


def _well(stack: DockerStack) -> bool:
    return stack.keelson("status", check=False).returncode == 0


def _said(stack: DockerStack, *arguments: str) -> str:
    """Run a command that fails, and return its sentence."""
    done = stack.keelson(*arguments, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr + done.stdout


def _kill_process(container: Container) -> None:
    os.kill(int(container.attrs["State"]["Pid"]), signal.SIGKILL)


def _restarts(stack: DockerStack, part: str) -> int:
    found = stack.container(part)
    return int(found.attrs["RestartCount"]) if found.status == "running" else 0


def _remove(stack: DockerStack, *parts: str) -> None:
    for part in parts:
        stack.container(part).remove(force=True)


@pytest.mark.usefixtures("rows")
def test_a_killed_server_is_back_within_seconds(stack: DockerStack) -> None:
    _kill_process(stack.container("main"))
    wait_until(lambda: _restarts(stack, "main") == 1, "the daemon started it again", seconds=10)
    wait_until(lambda: _well(stack), "it answers", seconds=10)


@pytest.mark.usefixtures("rows")
def test_a_query_that_takes_too_much_memory_ends_alone_and_the_server_recovers(stack: DockerStack) -> None:
    with stack.connect("notes", "admin") as connection, pytest.raises(psycopg.OperationalError):
        connection.execute(HUNGRY)


@pytest.mark.usefixtures("rows")
def test_a_killed_toolbox_is_back_and_a_stopped_one_is_started_by_a_command(stack: DockerStack) -> None:
    _kill_process(stack.container("toolbox"))
    wait_until(lambda: _restarts(stack, "toolbox") == 1, "the daemon started it again", seconds=10)
    stack.container("toolbox").kill()
    assert "run `keelson start`" in _said(stack, "url", "notes")
    stack.keelson("start")


@pytest.mark.usefixtures("rows")
def test_a_port_that_was_taken_while_the_stack_was_down_is_named_with_the_next_step(stack: DockerStack) -> None:
    port = _port(stack)
    stack.keelson("stop")
    with taken(port):
        said = _said(stack, "start")
        assert str(port) in said
        assert "--new-port" in said
        stack.keelson("up", "--new-port")
        assert _port(stack) != port
        assert stack.count("notes", "notes")


@pytest.mark.usefixtures("rows")
def test_an_image_that_is_nowhere_to_be_had_is_named_and_the_server_runs_on(stack: DockerStack) -> None:
    usual, before = stack.settings["docker"], stack.container("main").id
    stack.write_settings(docker=usual | {"image": {"postgres": f"127.0.0.1:{free_port()}/postgres:17"}})
    assert re.search(r"the image 127\.0\.0\.1:\d+/postgres:17 could not be pulled: .*refused", _said(stack, "up"))
    stack.write_settings(docker=usual)
    stack.keelson("up")
    assert stack.container("main").id == before


@pytest.mark.usefixtures("rows")
def test_a_server_without_its_container_and_configuration_is_made_again(stack: DockerStack) -> None:
    _remove(stack, "main")
    stack.client.volumes.get(names.config_volume(stack.key, "main")).remove()
    assert "the container of main is missing; run `keelson up" in _said(stack, "url", "notes")
    stack.keelson("up")
    assert "unchanged" in stack.keelson("up").stdout


@pytest.mark.usefixtures("rows")
def test_a_stack_whose_networks_were_removed_is_mended(stack: DockerStack) -> None:
    for network in (stack.key, names.ports_network(stack.key)):
        found = stack.client.networks.get(network)
        found.reload()
        for container in found.containers:
            found.disconnect(container, force=True)
        found.remove()
    stack.keelson("up")
    assert {*stack.networks("main")} == {stack.key, names.admin_network(stack.key), names.ports_network(stack.key)}
    assert {"main", "toolbox"} <= stack.aliases(stack.key)


@pytest.mark.usefixtures("rows")
def test_a_stack_whose_passwords_were_lost_makes_new_ones_and_keeps_its_data(stack: DockerStack) -> None:
    before = stack.container("main").id
    _remove(stack, "toolbox")
    stack.client.volumes.get(names.state_volume(stack.key)).remove()
    assert "run `keelson up" in _said(stack, "url", "notes")
    stack.keelson("up")
    assert stack.container("main").id == before


def test_a_full_disk_fails_writes_and_loses_nothing_that_was_committed(
    stack: DockerStack, tmp_path: Path, docker_host: str
) -> None:
    full = DockerStack(tmp_path, docker_host)
    full.write_service("notes")
    with contextlib.ExitStack() as ended:
        ended.callback(full.end)
        disk = _small_disk(full, stack.container("main"))
        full.keelson("up")
        with full.connect("notes", "admin") as connection:
            connection.execute("INSERT INTO notes (body) VALUES ('committed')")
            disk.exec_run(["sh", "-c", "head -c 200000000 /dev/zero >/disk/filler"], user="root")
            with pytest.raises(psycopg.OperationalError):
                connection.execute("CREATE TABLE more AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
        disk.exec_run(["rm", "/disk/filler"], user="root")
        wait_until(lambda: _well(full), "the stack is well", seconds=30)
        assert full.count("notes", "notes") == 11


def _small_disk(stack: DockerStack, like: Container) -> Container:
    """Give a server's data a small disk in memory, which stays for as long as the container that is returned."""
    volume, labels = names.data_volume(stack.key, "main"), names.labels(stack.key, "main-data")
    user = like.attrs["Config"]["User"].replace(":", ",gid=")
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size=150m,mode=0700,uid={user}"}
    stack.client.volumes.create(volume, driver_opts=options, labels=labels)
    return stack.client.containers.run(
        like.attrs["Image"],
        entrypoint=["sleep", "infinity"],
        volumes={volume: {"bind": "/disk", "mode": "rw"}},
        network_mode="none",
        labels=names.labels(stack.key, "disk"),
        detach=True,
    )


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_first_up_killed_at_random_moments_is_finished_by_the_next(tmp_path: Path, docker_host: str) -> None:
    stack, chance = DockerStack(tmp_path, docker_host), random.Random(KILLS)
    stack.write_service("notes")
    try:
        for _ in range(KILLS):
            kill_up_after(stack, chance.uniform(0.5, 5))
        stack.keelson("up")
        wait_until(lambda: not stack.engine_processes(), "no process of the engine is left", seconds=10)
        assert stack.count("notes", "notes") == 10
        assert _well(stack)
        assert "pending_operations" not in stack.export()["deployment"]
        assert "unchanged" in stack.keelson("up").stdout
    finally:
        stack.end()


class OwnDaemon:
    """A daemon that a test may end, in a slot as those of the runs have them."""

    def __init__(self) -> None:
        self.slot = take_slot()
        self.slot.end_leftovers()
        self.slot.data.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        for rule in self.slot.rules():
            subprocess.run(["iptables", "-w", "-I", "FORWARD", *rule], check=True, capture_output=True)

    def start(self) -> None:
        (self.slot.directory / "exec/containerd/containerd.pid").unlink(missing_ok=True)  # nobody may reap a killed one
        with self.slot.log.open("a") as log:
            self.process = subprocess.Popen(self.slot.command, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, "dockerd answers", seconds=60)

    def end(self, number: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait(30)

    def _answers(self) -> bool:
        try:
            with contextlib.closing(docker.APIClient(self.slot.host, version="auto", timeout=5)) as api:
                return bool(api.ping())
        except (docker.errors.DockerException, requests.RequestException):
            return False


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # connections that end with the daemon
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_its_daemon_ended_a_stack_comes_back_with_it(
    tmp_path: Path, docker_host: str, number: signal.Signals
) -> None:
    assert docker_host  # what starts one daemon starts another one
    daemon = OwnDaemon()
    with contextlib.ExitStack() as ended:
        ended.callback(daemon.slot.clear_network)
        ended.callback(daemon.end, signal.SIGTERM)
        daemon.start()
        ended.callback(clear, daemon.slot.host)
        stack = DockerStack(tmp_path, daemon.slot.host)
        ended.callback(stack.end)
        stack.write_service("notes")
        stack.keelson("up")
        daemon.end(number)
        assert "no Docker daemon answers" in _said(stack, "url", "notes")
        daemon.start()
        if number == signal.SIGKILL:  # the next daemon ends what it finds running, and takes it for stopped by hand
            wait_until(lambda: "run `keelson start`" in stack.keelson("status", check=False).stdout, "it says so")
            stack.keelson("start")
        wait_until(lambda: _well(stack), "the stack is well", seconds=60)
        assert stack.count("notes", "notes") == 10
        assert "unchanged" in stack.keelson("up").stdout
