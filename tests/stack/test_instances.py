"""A whole protected stack whose server has three instances, kept by CloudNativePG in a real cluster. The tests change it in turn."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from keelson.entrances import Entrance
from keelson.kubernetes import applications, names
from keelson.kubernetes.applications import Application
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.instances import API
from keelson.local.locks import exclusive
from tests import cluster as shared
from tests.stack.certificates import aged, is_trusted, serial_at, shorten_in_state
from tests.stack.harness import changed, wait_until
from tests.stack.kubernetes_stack import KubernetesStack
from tests.stack.shop import Shop
from tests.stack.test_backups import listed
from tests.stack.test_harden import faults
from tests.stack.writers import Writer, at_work
from tools.kubernetes import operator

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough, pytest.mark.timeout(900)]
POOL_SIZE = 3
POOLER: Json = {"pool_size": POOL_SIZE, "max_client_conn": 100}
SERVER: Json = {"ha": True, "memory": "320mb", "storage": "512Mi", "wal_storage": "1Gi", "pooler": POOLER}
DELETED = (("secrets", "main-superuser"), ("secrets", "main-tls"), ("services", "main-rw"))
SECONDS_TO_HEAL = 300
PACE = 0.01  # seconds between two rows of a writer


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path, docker_host: str) -> Iterator[KubernetesStack]:
    """A stack with one server of three instances and one service of ten rows, up."""
    home = tmp_path_factory.mktemp("instances")
    made = KubernetesStack(home, kubeconfig, docker_host, servers={"main": SERVER}, environment="staging")
    try:
        made.write_service("notes")
        with exclusive(kubeconfig.with_name("operator.lock"), seconds=shared.SECONDS_TO_LOAD):
            operator.install(kubeconfig.parent)
        began = time.monotonic()
        made.keelson("up")
        print(f"three instances are up after {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure
        with made.connect("notes", "admin") as connection:
            connection.execute("INSERT INTO notes (body) SELECT 'note' FROM generate_series(1, 10)")
        yield made
    finally:
        made.end()


@pytest.fixture
def rows(stack: KubernetesStack) -> Iterator[None]:
    """What was committed before the test is there after it, for the application too, and the stack is well."""
    with stack.connect("notes", "admin") as connection:
        connection.execute("INSERT INTO notes (body) VALUES ('committed')")
    before = stack.count("notes", "notes")
    yield
    wait_until(lambda: _well(stack), "the stack is well", SECONDS_TO_HEAL)
    with stack.connect("notes") as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (before,)


@pytest.fixture(scope="module")
def shop(stack: KubernetesStack) -> Iterator[Shop]:
    """An application that uses the service."""
    with contextlib.closing(Shop(stack)) as made:
        stack.keelson("up")
        yield made


def _well(stack: KubernetesStack) -> bool:
    return stack.keelson("status", check=False).returncode == 0


def _said(stack: KubernetesStack, *arguments: str) -> str:
    """Run a command that fails, and return what it says."""
    done = stack.keelson(*arguments, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr + done.stdout


def _uids(stack: KubernetesStack) -> set[str]:
    return {pod["metadata"]["uid"] for pod in stack.pods("main")}


def _primary(stack: KubernetesStack) -> str:
    """Return which instance takes writes; while one takes over from another, none bears the label."""
    found: list[str] = []

    def is_one() -> bool:
        found[:] = _primaries(stack)
        return len(found) == 1

    wait_until(is_one, "there is one primary", 60)
    return found[0]


def _primaries(stack: KubernetesStack) -> list[str]:
    pods = (pod["metadata"] for pod in stack.pods("main"))
    return [str(each["name"]) for each in pods if each["labels"].get(names.ROLE_LABEL) == names.PRIMARY]


def _shown(stack: KubernetesStack, parameter: str) -> str:
    with stack.connect("notes", "admin") as connection:
        row = connection.execute(f"SHOW {parameter}").fetchone()
    assert row
    return str(row[0])


@pytest.mark.usefixtures("rows")
def test_a_second_up_changes_nothing_and_all_commands_work(stack: KubernetesStack) -> None:
    assert not changed(stack.keelson("up").stdout)
    assert json.loads(stack.keelson("status", "--json").stdout)["well"]
    query = ("psql", "notes", "--", "-Atc", "SELECT count(*), current_user FROM notes")
    assert stack.keelson(*query).stdout.strip().endswith("|notes_app_a")
    assert "connection authorized" in stack.keelson("logs", "main", "--lines", "1000").stdout
    stack.keelson("backup", "run", "notes")
    assert listed(stack, "notes")
    assert faults(stack) == {}


@pytest.mark.usefixtures("rows")
def test_a_parameter_is_reloaded_and_one_that_needs_a_restart_restarts_all_instances(stack: KubernetesStack) -> None:
    before = _uids(stack)
    stack.write_settings(servers={"main": SERVER | {"postgres": {"work_mem": "5MB"}}})
    assert "KubernetesPart" in changed(stack.keelson("preview").stdout)
    stack.keelson("up")
    assert (_shown(stack, "work_mem"), _uids(stack)) == ("5MB", before)
    stack.write_settings(servers={"main": SERVER | {"postgres": {"work_mem": "5MB", "max_connections": "77"}}})
    stack.keelson("up")
    assert _shown(stack, "max_connections") == "77"
    assert not changed(stack.keelson("up").stdout)


@pytest.mark.usefixtures("rows")
def test_a_parameter_that_postgresql_does_not_understand_is_named(stack: KubernetesStack) -> None:
    right = stack.settings["servers"]["main"]
    stack.write_settings(servers={"main": right | {"postgres": {**right["postgres"], "work_mem": "plenty"}}})
    assert 'invalid value for parameter "work_mem"' in _said(stack, "up")
    assert _shown(stack, "work_mem") == "5MB"
    stack.write_settings(servers={"main": right})
    stack.keelson("up")


def test_what_its_instances_cannot_become_is_refused_in_a_preview(stack: KubernetesStack) -> None:
    right = stack.settings["servers"]["main"]
    for wrong, sentence in (
        ({"storage": "256Mi"}, "the volume of an instance (storage) holds 512Mi and cannot shrink to 256Mi"),
        ({"wal_storage": "768Mi"}, "the volume of an instance (wal_storage) holds 1Gi and cannot shrink to 768Mi"),
        ({"ha": False, "wal_storage": None, "pooler": None}, "add another server with the 'ha' that is wanted"),
    ):
        stack.write_settings(
            servers={"main": {key: value for key, value in (right | wrong).items() if value is not None}}
        )
        assert sentence in _said(stack, "preview")
    stack.write_settings(servers={"main": right})


@contextlib.contextmanager
def writing(stack: KubernetesStack) -> Iterator[dict[int, float]]:
    """Write rows, and give when each was acknowledged; in the end all of these are there."""
    with stack.connect("notes", "admin") as connection:
        connection.execute("CREATE TABLE written (n int)")
    acknowledged: dict[int, float] = {}
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            with contextlib.suppress(Exception), stack.connect("notes", "admin") as connection:
                while not ended.wait(PACE):
                    number += 1
                    connection.execute("INSERT INTO written VALUES (%s)", (number,))
                    acknowledged[number] = time.monotonic()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: len(acknowledged) > 100, "rows are written", 30)
        yield acknowledged
    finally:
        ended.set()
        writer.join(60)
    wait_until(lambda: _well(stack), "the stack is well", SECONDS_TO_HEAL)
    with stack.connect("notes", "admin") as connection:
        kept = {row[0] for row in connection.execute("SELECT n FROM written").fetchall()}
        connection.execute("DROP TABLE written")
    assert acknowledged.keys() <= kept


def test_what_an_application_was_told_is_committed_outlasts_the_primary(stack: KubernetesStack) -> None:
    with writing(stack) as acknowledged:
        killed, began = _primary(stack), time.monotonic()
        stack.delete("pods", killed, gracePeriodSeconds=0)
        wait_until(
            lambda: max(acknowledged.values()) > began + 1 and _primary(stack) != killed, "rows are written again", 60
        )
    moments = sorted(acknowledged.values())
    pause = max(after - before for before, after in itertools.pairwise(moments))
    print(f"{pause:.1f} s without writes, {len(moments)} rows acknowledged")  # noqa: T201 - a figure
    assert faults(stack) == {}


def test_another_instance_is_asked_to_take_over_and_no_client_of_the_pooler_is_lost(stack: KubernetesStack) -> None:
    old = _primary(stack)
    with stack.connect("notes", "app", "pooler") as pooled, writing(stack) as acknowledged:
        pooled.execute("SELECT 1")
        said = " ".join(stack.keelson("switchover", "main", "--yes").stdout.split())
        new, now = _primary(stack), time.monotonic()
        taken = f"{new} takes the writes of main in place of {old}"
        assert re.fullmatch(rf"{taken}; none was acknowledged for \d+\.\d s", said), said
        print(said)  # noqa: T201 - a figure
        assert new != old
        assert pooled.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        wait_until(lambda: max(acknowledged.values()) > now, "rows are written again", 30)
    for to, sentence in (
        ("main-9", "main has no instance 'main-9'; it has main-1, main-2, main-3"),
        (new, f"{new} takes the writes of main already; name another one of main-1, main-2, main-3"),
    ):
        assert sentence in " ".join(_said(stack, "switchover", "main", "--to", to).split())


@pytest.mark.usefixtures("rows")
def test_replicas_are_read_from_and_verified(stack: KubernetesStack) -> None:
    assert stack.endpoint("notes", "app", "replicas").connection_parameters()["sslmode"] == "verify-full"
    asked = ("--", "-Atc", "SELECT current_user, pg_is_in_recovery(), count(*) > 9 FROM notes")
    assert stack.keelson("psql", "notes", "--readonly", *asked).stdout.strip().endswith("notes_app_a|t|t")
    with stack.connect("notes", "app", "replicas") as replica, pytest.raises(errors.ReadOnlySqlTransaction):
        replica.execute("DELETE FROM notes")


def test_an_application_is_given_the_urls_of_replicas_and_pooler(stack: KubernetesStack) -> None:
    values = json.loads(stack.keelson("env", "notes", "--from", "cluster", "--json").stdout)
    client = f"{stack.key}-shop"
    stack.cluster.create("/api/v1/namespaces", {"metadata": {"name": client}})
    given = Application(stack.place, stack.key, client, "notes", "main", entrances=("replicas", "pooler"))
    try:
        with stack.here():
            applications.give(given)
        secret = stack.cluster.get(f"/api/v1/namespaces/{client}/secrets/{given.secret}")
    finally:
        stack.cluster.delete(f"/api/v1/namespaces/{client}")
    assert secret
    for variable, kind in (("DATABASE_URL_READONLY", "ro"), ("DATABASE_URL_POOLED", "pooler")):
        assert base64.b64decode(secret["data"][variable]).decode() == values[variable]
        assert values[variable] == values["DATABASE_URL"].replace("main-rw", f"main-{kind}")


@pytest.mark.usefixtures("rows")
def test_applications_share_the_connections_of_a_pool(stack: KubernetesStack) -> None:
    endpoint = stack.endpoint("notes", "app", "pooler")
    assert endpoint.connection_parameters()["sslmode"] == "verify-full"
    asked = "SELECT current_user, ssl, pid FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    with contextlib.ExitStack() as clients:
        all_clients = [clients.enter_context(endpoint.connect()) for _ in range(2 * POOL_SIZE)]
        found = [each.execute(asked).fetchone() or () for each in all_clients]
    assert {each[:2] for each in found} == {("notes_app_a", True)}
    assert len({each[2] for each in found}) <= POOL_SIZE


def test_a_rotation_refuses_nobody_at_the_server_or_the_pooler(stack: KubernetesStack, shop: Shop) -> None:
    old = shop.told()
    anew, constant = Writer(lambda: shop.log_in(shop.told())), Writer(lambda: shop.log_in(old))
    pooled, pooled_constant = (
        Writer(lambda: shop.log_in(shop.told(), "pooler")),
        Writer(lambda: shop.log_in(old, "pooler")),
    )
    with at_work(anew, constant, pooled, pooled_constant):
        shop.rotate()
    assert [each.failed for each in (anew, constant, pooled, pooled_constant)] == [[], [], [], []]
    for each in (anew, pooled):
        assert list(dict.fromkeys(each.users)) == ["notes_app_a", "notes_app_b"]
    for each in (constant, pooled_constant):
        assert set(each.users) == {"notes_app_a"}
    assert not changed(stack.keelson("up").stdout)


def test_a_login_that_is_ended_early_is_refused_by_the_pooler_too_and_its_next_password_is_not(
    stack: KubernetesStack, shop: Shop
) -> None:
    ended = shop.told()
    with shop.log_in(ended, "pooler") as pooled:
        pooled.execute("SELECT 1")  # so that the pooler has a connection of this login to lend
    stack.write_settings(rotate_overlap=0)
    shop.rotate("--early")
    new = shop.told()
    assert (ended["PGUSER"], new["PGUSER"]) == ("notes_app_b", "notes_app_a")
    for entrance in ("primary", "pooler"):
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            shop.log_in(ended, entrance)
        with shop.log_in(new, entrance) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("notes_app_a",)


@pytest.mark.parametrize(
    ("role", "sslmode", "said"), [("admin", "require", "reject"), ("app", "disable", "SSL required")]
)
def test_the_pooler_refuses_the_administrator_and_who_does_not_encrypt(
    stack: KubernetesStack, role: str, sslmode: str, said: str
) -> None:
    parameters = stack.endpoint("notes", role, "pooler").connection_parameters() | {"sslmode": sslmode}
    with pytest.raises(psycopg.OperationalError, match=said):
        psycopg.connect(**parameters)  # type: ignore[arg-type]


@pytest.mark.long
def test_certificate_and_authority_are_renewed_and_clients_of_server_and_pooler_go_on(
    stack: KubernetesStack, shop: Shop, tmp_path: Path
) -> None:
    old, pods = shop.told()["ca.crt"], _uids(stack)
    stack.write("tls/ca.crt", aged(stack, left=1000))
    shorten_in_state(stack, "main")
    stack.pulumi("refresh", "--yes")
    assert "is renewed by a reload" in stack.keelson("preview").stdout
    with stack.connect("notes", "admin") as session, stack.connect("notes", "app", "pooler") as pooled:
        before = [serial_at(each) for each in (session, pooled)]
        stack.keelson("up")
        for connection, serial in zip((session, pooled), before, strict=True):
            wait_until(
                lambda connection=connection, serial=serial: serial_at(connection) != serial,
                "both show the new certificate",
                120,
            )
            assert connection.execute("SELECT 1").fetchone() == (1,)
    new = shop.told()["ca.crt"]
    assert new.count("BEGIN CERTIFICATE") == 2
    entrances: tuple[Entrance, ...] = ("primary", "replicas", "pooler")
    for parameters in (stack.endpoint("notes", "app", each).connection_parameters() for each in entrances):
        assert [is_trusted(parameters, each, tmp_path / "ca.crt") for each in (old, new)] == [True, True]
    wait_until(lambda: _well(stack), "the stack is well", SECONDS_TO_HEAL)
    assert _uids(stack) == pods
    assert not changed(stack.keelson("up").stdout)


@pytest.mark.parametrize("entrance", ["primary", "pooler"])
def test_a_client_that_speaks_an_old_tls_is_refused(stack: KubernetesStack, entrance: Entrance) -> None:
    parameters = stack.endpoint("notes", "app", entrance).connection_parameters()
    psycopg.connect(**parameters | {"ssl_min_protocol_version": "TLSv1.3"}).close()  # type: ignore[arg-type]
    with pytest.raises(psycopg.OperationalError, match="alert"):
        psycopg.connect(**parameters | {"ssl_max_protocol_version": "TLSv1.2"})  # type: ignore[arg-type]


def test_the_poolers_pods_are_hardened_by_their_operator(stack: KubernetesStack) -> None:
    pods = stack.pods("main-pooler")
    assert len(pods) == 2
    for pod in pods:
        assert names.CLUSTER_LABEL in pod["metadata"]["labels"]  # by which it may reach instances and API
        for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"] == "140Mi"


@pytest.mark.usefixtures("rows")
def test_a_missing_instance_is_told(stack: KubernetesStack) -> None:
    replica = next(pod["metadata"]["name"] for pod in stack.pods("main") if pod["metadata"]["name"] != _primary(stack))
    fenced = stack.cluster.at("clusters", "main", api=API)
    stack.cluster.patch(fenced, {"metadata": {"annotations": {"cnpg.io/fencedInstances": json.dumps([replica])}}})
    wait_until(lambda: not _well(stack), "the stack is not well", 60)
    done = stack.keelson("status", check=False)
    assert "main is degraded: 2 of 3 instances are ready" in done.stdout + done.stderr
    assert replica in done.stdout + done.stderr
    stack.cluster.patch(fenced, {"metadata": {"annotations": {"cnpg.io/fencedInstances": None}}})


@pytest.mark.usefixtures("rows")
def test_a_stack_whose_state_was_lost_makes_new_passwords_and_keeps_its_data(stack: KubernetesStack) -> None:
    before = stack.passwords()
    stack.delete("secrets", names.STATE)
    stack.keelson("up")
    assert before != stack.passwords()
    assert not changed(stack.keelson("up").stdout)


@pytest.mark.long
@pytest.mark.usefixtures("rows")
def test_what_was_deleted_by_hand_is_made_again(stack: KubernetesStack) -> None:
    for kind, name in DELETED:
        stack.delete(kind, name)
    stack.keelson("up")
    wait_until(lambda: {f"{kind}/{name}" for kind, name in DELETED} <= {*stack.things()}, "all is there again", 60)


def test_a_stopped_stack_has_no_instances_and_its_rows_when_it_is_started(stack: KubernetesStack) -> None:
    before = stack.count("notes", "notes")
    stack.keelson("stop")
    assert not stack.items("pods")
    assert "main is down: it is stopped" in _said(stack, "status")
    stack.keelson("start")
    wait_until(lambda: _well(stack), "the stack is well", SECONDS_TO_HEAL)
    assert stack.count("notes", "notes") == before


def test_a_destroyed_stack_keeps_its_instances_volumes_and_the_next_up_finds_its_rows(stack: KubernetesStack) -> None:
    before = stack.count("notes", "notes")
    stack.keelson("destroy", "--yes", "--confirm", stack.name)
    assert not stack.items("pods")
    assert {"persistentvolumeclaims/main-1", "persistentvolumeclaims/main-1-wal"} <= {*stack.things()}
    stack.keelson("up")
    assert stack.count("notes", "notes") == before
    with stack.connect("notes") as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (before,)
    assert not changed(stack.keelson("up").stdout)
