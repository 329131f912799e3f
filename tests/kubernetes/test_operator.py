"""CloudNativePG with the image made here: three instances, of which the first is killed again and again under a writer."""

from __future__ import annotations

import base64
import contextlib
import itertools
import logging
import secrets
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from keelson.errors import PlatformError
from keelson.kubernetes import forward
from keelson.kubernetes.cluster import Json
from keelson.local import configuration, tls
from keelson.local.locks import exclusive
from keelson.local.spec import ServerSpec
from tests import cluster as equipment
from tests.kubernetes.ground import Ground, await_until
from tools.kubernetes import operator
from tools.kubernetes.api import Api, RefusedError

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough]

LOG = logging.getLogger(__name__)
MANIFEST = Path(__file__).with_name("files") / "ha.yaml"
NAME = "main"
KINDS = tuple(f"{NAME}-{kind}" for kind in ("rw", "ro", "r"))
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
SECONDS_TO_COME_UP, SECONDS_TO_FAIL_OVER, SECONDS_TO_HEAL = 300, 60, 120
KILLS = 5
GOAL = 7.0  # seconds without writes, the median of the kills
MOST_KILLS = 3 * KILLS  # where the machine is too busy to tell
WRITERS = 8
PAUSE = WRITERS / 150  # seconds between two writes of one of them
LOGINS = {"postgres", "streaming_replica", "cnpg_metrics_exporter"}
OPERATORS = {  # what the platform sets on other targets, and the operator alone here
    *("archive_command", "cluster_name", "listen_addresses", "log_destination", "logging_collector", "port"),
    *("ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "shared_preload_libraries", "unix_socket_directories"),
}  # fmt: skip


@dataclass(frozen=True)
class Instances:
    """Three instances, and how they are reached."""

    ground: Ground
    password: str
    authority: Path

    @property
    def path(self) -> str:
        return self.ground.cluster.at("clusters", NAME, api=operator.API)

    @property
    def status(self) -> Json:
        found = self.ground.cluster.get(self.path)
        assert found
        status: Json = found.get("status", {})
        return status

    def healthy(self) -> bool:
        status = self.status
        return status.get("phase") == "Cluster in healthy state" and status.get("readyInstances") == 3

    def connect(self, service: str = KINDS[0], sslmode: str = "verify-full") -> psycopg.Connection:
        port = forward.port(self.ground.place, self.ground.key, service, 5432)
        return psycopg.connect(
            host=service, hostaddr=forward.LOOPBACK, port=port, user="postgres", password=self.password, dbname="postgres",
            sslmode=sslmode, sslrootcert=str(self.authority), connect_timeout=2, autocommit=True,
        )  # fmt: skip

    def kill(self) -> str:
        """End the primary at once; return its name."""
        primary = str(self.status["currentPrimary"])
        self.ground.cluster.delete(self.ground.cluster.at("pods", primary), gracePeriodSeconds=0)
        return primary


@dataclass
class Writers:
    """Write rows, and know when each was acknowledged."""

    instances: Instances
    numbers: Iterator[int] = field(default_factory=itertools.count)
    acknowledged: dict[int, float] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        while not self.over.wait(PAUSE):
            with contextlib.suppress(psycopg.Error), self.instances.connect() as connection:
                self._write(connection)

    def _write(self, connection: psycopg.Connection) -> None:
        while not self.over.wait(PAUSE):
            number = next(self.numbers)
            connection.execute("INSERT INTO written VALUES (%s)", (number,))
            self.acknowledged[number] = time.monotonic()

    def go_on(self, seconds: float) -> None:
        """Wait until a row has been acknowledged that much later than now."""
        until = time.monotonic() + seconds
        await_until(lambda: max([*self.acknowledged.values()], default=0.0) > until, SECONDS_TO_FAIL_OVER)

    def longest_pause(self, since: float) -> float:
        moments = sorted(moment for moment in [*self.acknowledged.values()] if moment > since)
        return max(after - before for before, after in itertools.pairwise(moments))


@pytest.fixture(scope="module")
def operated(kubeconfig: Path) -> Path:
    """A cluster with the operator."""
    with exclusive(kubeconfig.with_name("operator.lock"), seconds=equipment.SECONDS_TO_LOAD):
        try:
            operator.install(kubeconfig.parent)
        except PlatformError as fault:
            if "lacks" not in str(fault):
                raise
            pytest.skip(str(fault))
    return kubeconfig


@pytest.fixture(scope="module")
def image(operated: Path, docker_host: str) -> str:
    return equipment.bring(operated, docker_host, ["postgres-ha"])["postgres-ha"]


@pytest.fixture(scope="module")
def instances(place: Ground, image: str) -> Iterator[Instances]:
    """Three instances in a namespace that admits nothing unneeded, with password and certificate of ours."""
    found = place.cluster
    found.patch(f"/api/v1/namespaces/{found.namespace}", {"metadata": {"labels": RESTRICTED}})
    password = secrets.token_urlsafe()
    make_secret(place, "main-superuser", "kubernetes.io/basic-auth", username="postgres", password=password)
    make_secret(place, "main-tls", "kubernetes.io/tls", **certificate(place.key))
    wanted = yaml.safe_load(MANIFEST.read_text())
    wanted["spec"]["imageName"] = image
    found.create(found.at("clusters", api=operator.API), wanted)
    made = Instances(place, password, tls.authority_file(place.key))
    try:
        await_until(made.healthy, SECONDS_TO_COME_UP)
        yield made
    finally:
        found.delete(made.path)


def make_secret(place: Ground, name: str, kind: str, **texts: str) -> None:
    data = {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    labels = {"cnpg.io/reload": "true"}
    place.cluster.create(
        place.cluster.at("secrets"), {"metadata": {"name": name, "labels": labels}, "type": kind, "data": data}
    )


def certificate(key: str) -> dict[str, str]:
    directory = tls.authority_file(key).parent / "servers" / NAME
    tls.ensure_server(key, directory, NAME, KINDS)
    return {
        place: (directory / file).read_text()
        for place, file in (("tls_crt", "server.crt"), ("tls_key", "server.key"), ("ca_crt", "ca.crt"))
    }


@contextmanager
def writing(instances: Instances) -> Iterator[Writers]:
    writers = Writers(instances)
    threads = [threading.Thread(target=writers.write) for _ in range(WRITERS)]
    try:
        for thread in threads:
            thread.start()
        yield writers
    finally:
        writers.over.set()
        for thread in threads:
            thread.join()


def test_our_password_certificate_and_libraries_are_the_servers(instances: Instances) -> None:
    with instances.connect() as primary, instances.connect("main-ro") as replica:
        primary.execute("CREATE EXTENSION timescaledb")
        primary.execute("CREATE EXTENSION pg_stat_statements")
        assert primary.execute("SHOW synchronous_standby_names").fetchone()[0].startswith("ANY 1 (")  # type: ignore[index]
        assert primary.execute("SHOW allow_alter_system").fetchone() == ("off",)
        assert primary.execute("SELECT current_user, pg_is_in_recovery()").fetchone() == ("postgres", False)
        assert {name for (name,) in primary.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin")} == LOGINS
        assert {name for (name,) in primary.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")} == {
            "postgres"
        }
        assert replica.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)


def test_nobody_is_let_in_without_encryption(instances: Instances) -> None:
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        instances.connect(sslmode="disable")


def test_no_acknowledged_write_is_lost_though_the_primary_is_killed_again_and_again(instances: Instances) -> None:
    with instances.connect() as connection:
        connection.execute("CREATE TABLE written (number bigint PRIMARY KEY)")
    pauses: list[float] = []
    with writing(instances) as writers:
        while len(pauses) < KILLS or (len(pauses) < MOST_KILLS and statistics.median(pauses[-KILLS:]) >= GOAL):
            pauses.append(pause_of_a_kill(instances, writers))
    with instances.connect() as connection:
        found = {number for (number,) in connection.execute("SELECT number FROM written")}
    LOG.info(
        "%d rows acknowledged; seconds without writes: %s",
        len(writers.acknowledged),
        [round(each, 1) for each in pauses],
    )
    assert not writers.acknowledged.keys() - found, f"of {len(writers.acknowledged)} acknowledged"
    assert statistics.median(pauses[-KILLS:]) < GOAL, pauses


def pause_of_a_kill(instances: Instances, writers: Writers) -> float:
    """Kill the primary while rows are written, and wait until all is well again; return for how long none was written."""
    writers.go_on(1)
    before = time.monotonic()
    killed = instances.kill()
    await_until(lambda: instances.status["currentPrimary"] != killed, SECONDS_TO_FAIL_OVER)
    writers.go_on(1)
    pause = writers.longest_pause(before - 1)
    await_until(instances.healthy, SECONDS_TO_HEAL)
    return pause


def test_the_operator_takes_our_parameters_but_those_that_are_its_own(operated: Path) -> None:
    spec = ServerSpec(key="test-dev", stack_id="0", name=NAME, parameters={}, timescale=True)
    api = Api(operated)
    refused = {name for name, value in configuration.values(spec, 5432).items() if not takes(api, name, value)}
    assert refused == OPERATORS


def takes(api: Api, name: str, value: str) -> bool:
    wanted: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    wanted["spec"]["postgresql"]["parameters"] = {name: value}
    try:
        api.ask("POST", operator.TRIAL, wanted)
    except RefusedError as fault:
        return f"spec.postgresql.parameters.{name}" not in str(fault)
    return True
