"""A server of three instances that CloudNativePG's plugin archives in a bucket: told, backed up, restored beside the live one, gone again."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keelson.kubernetes import names
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.workloads import OPERATORS_API
from keelson.local.locks import exclusive
from tests import cluster as shared
from tests import storage
from tests.stack.harness import changed, wait_until
from tests.stack.kubernetes_stack import KubernetesStack
from tools.kubernetes import archiver, operator

pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(1500)]
SERVER: Json = {"ha": True, "memory": "320mb", "storage": "512Mi", "wal_storage": "1Gi"}
PACE = 0.01  # seconds between two rows of the writer
SECONDS_TO_HEAL = 300
NOW = 'SELECT to_char(clock_timestamp(), \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path, docker_host: str) -> Iterator[KubernetesStack]:
    """A stack with one server of three instances, which is archived, and one service, up."""
    home = tmp_path_factory.mktemp("archived")
    node, before = shared.at_node(kubeconfig)
    with storage.running(home / "data", home / "notes", node, before) as server:
        bucket = server.settings | {"secret_key": storage.SECRET}
        made = KubernetesStack(
            home,
            kubeconfig,
            docker_host,
            servers={"main": SERVER},
            backup={"bucket": bucket, "recipients": []},
            point_in_time={"enabled": True, "encryption": "none"},
        )
        try:
            made.write_service("notes")
            with exclusive(kubeconfig.with_name("operator.lock"), seconds=shared.SECONDS_TO_LOAD):
                operator.install(kubeconfig.parent)
                archiver.install(kubeconfig.parent, docker_host)
            made.keelson("up")
            yield made
        finally:
            made.end()


@contextlib.contextmanager
def writing(stack: KubernetesStack) -> Iterator[list[int]]:
    """Write numbered rows, and give those that were acknowledged."""
    with stack.connect("notes", "admin") as connection:
        connection.execute("DROP TABLE IF EXISTS written")
        connection.execute("CREATE TABLE written (n int PRIMARY KEY)")
    acknowledged: list[int] = []
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            with contextlib.suppress(Exception), stack.connect("notes", "admin") as connection:
                while not ended.wait(PACE):
                    number += 1
                    connection.execute("INSERT INTO written VALUES (%s)", (number,))
                    acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: len(acknowledged) > 100, "rows are written", 30)
        yield acknowledged
    finally:
        ended.set()
        writer.join(60)


def _said(stack: KubernetesStack, *arguments: str) -> str:
    """Run a command that fails, and return what it says."""
    done = stack.keelson(*arguments, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return " ".join((done.stderr + done.stdout).split())


def _written(stack: KubernetesStack, side: str) -> list[int]:
    query = "SELECT coalesce(json_agg(n ORDER BY n), '[]') FROM written"
    told = stack.keelson("psql", "notes", "--beside", side, "--", "-Atc", query).stdout
    return [int(number) for number in json.loads(told)]


def _now(stack: KubernetesStack) -> str:
    with stack.connect("notes", "admin") as connection:
        row = connection.execute(NOW.encode()).fetchone()
    assert row
    return str(row[0])


def _well(stack: KubernetesStack) -> bool:
    return stack.keelson("status", check=False).returncode == 0


def test_the_first_backup_is_made_by_itself_and_all_is_well_then(stack: KubernetesStack) -> None:
    wait_until(lambda: _well(stack), "the stack is well", SECONDS_TO_HEAL)
    status = json.loads(stack.keelson("status", "--json").stdout)
    assert status["archives"][0]["backed_up"]
    assert status["archives"][0]["exposed_seconds"] >= 60
    assert not changed(stack.keelson("up").stdout)
    looked = {each["check"]: each for each in json.loads(stack.keelson("doctor", "--json", check=False).stdout)}
    assert looked["archive main"]["level"] == "ok", looked["archive main"]["detail"]


def test_a_server_is_restored_as_it_was_and_holds_what_was_acknowledged_until_then_and_nothing_later(
    stack: KubernetesStack,
) -> None:
    with writing(stack) as acknowledged:
        killed = next(
            each for each in stack.pods("main") if each["metadata"]["labels"].get(names.ROLE_LABEL) == names.PRIMARY
        )
        before = list(acknowledged)
        moment = _now(stack)
        after = acknowledged[-1] + 2  # the number that was sent then may be committed on either side
        wait_until(lambda: acknowledged[-1] > after + 50, "rows are written after that", 30)
        stack.delete("pods", killed["metadata"]["name"], gracePeriodSeconds=0)
        wait_until(lambda: acknowledged[-1] > after + 300, "another instance takes writes", 120)
        told = stack.keelson("restore", "--server", "main", "--at", moment, "--into", "then").stdout
        print(told)  # noqa: T201 - a figure
    assert f"then holds main as it was at {moment[:16]}" in told
    found = _written(stack, "then")
    assert found == list(range(1, len(found) + 1))
    assert before[-1] <= found[-1] <= after
    assert json.loads(stack.keelson("restore", "--server", "main", "--list", "--json").stdout)["beside"] == [
        {"name": "then"}
    ]
    wait_until(lambda: _well(stack), "the stack is well, with what is beside it", SECONDS_TO_HEAL)
    assert not changed(stack.keelson("up").stdout)
    stack.keelson("restore", "--server", "main", "--discard", "then")
    assert not [each for each in stack.things() if "then" in each]


def test_all_that_was_acknowledged_comes_back_after_a_new_backup(stack: KubernetesStack) -> None:
    with writing(stack) as acknowledged:
        assert "full" in stack.keelson("backup", "run", "--server", "main").stdout
        wanted = acknowledged[-1]
        stack.keelson("restore", "--server", "main", "--at", "latest", "--into", "now")
    assert set(range(1, wanted + 1)) <= {*_written(stack, "now")}
    with stack.connect("notes", "admin") as connection:
        connection.execute("DROP TABLE written")
    listed = json.loads(stack.keelson("backup", "list", "--server", "main", "--json").stdout)
    assert [each["fault"] for each in listed] == [""] * 2
    stack.keelson("restore", "--server", "main", "--discard", "now")


def test_what_cannot_be_is_refused_in_a_sentence(stack: KubernetesStack) -> None:
    restore = ("restore", "--server", "main")
    assert "is before the first backup of main was complete" in _said(stack, *restore, "--at", "2026-01-01T00:00:00Z")
    assert "is not exchanged for another one in its place" in _said(stack, *restore, "--at", "latest", "--in-place")
    assert "holds no cluster 'main-9'" in _said(stack, *restore, "--at", "latest", "--cluster", "main-9")
    assert "cannot name a server beside main" in _said(stack, *restore, "--at", "latest", "--into", "main")
    assert "was not restored beside main" in _said(stack, *restore, "--discard", "main")
    assert "is proven by a restore" in _said(stack, "backup", "verify", "--server", "main")
    assert [
        each["metadata"]["name"] for each in stack.cluster.items(stack.cluster.at("clusters", api=OPERATORS_API))
    ] == ["main"]


def test_an_archive_that_is_turned_off_leaves_the_server_alone_and_what_lies_in_the_bucket(
    stack: KubernetesStack,
) -> None:
    before = stack.count("notes", "notes")
    stack.write_settings(point_in_time={"enabled": False})
    stack.keelson("up")
    assert stack.count("notes", "notes") == before
    assert not stack.cluster.items(stack.cluster.at("scheduledbackups", api=OPERATORS_API))
    assert not changed(stack.keelson("up").stdout)
