"""CloudNativePG with the image made here: three instances, of which the first is killed again and again under a writer."""

from __future__ import annotations

import logging
import time
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from keelson.kubernetes import forward
from keelson.local import configuration
from keelson.local.spec import ServerSpec
from keelson.monitoring.watched import Watched
from tests.kubernetes.ground import await_until
from tests.kubernetes.instances import MANIFEST, NAME, SECONDS_TO_FAIL_OVER, Instances, Writers, writing
from tests.monitoring.queries import OF_INSTANCES, named, of_pages, of_rules
from tools.kubernetes import operator
from tools.kubernetes.api import Api, RefusedError

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough, pytest.mark.timeout(900)]

LOG = logging.getLogger(__name__)
SECONDS_TO_HEAL = 120
KILLS = 3
LOGINS = {"postgres", "streaming_replica", "cnpg_metrics_exporter"}
OPERATORS = {  # what the platform sets on other targets, and the operator alone here
    *("archive_command", "cluster_name", "listen_addresses", "log_destination", "logging_collector", "port"),
    *("ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "shared_preload_libraries", "unix_socket_directories"),
}  # fmt: skip


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


def test_each_figure_of_our_alerts_and_panels_is_served_by_an_instance(instances: Instances) -> None:
    served: set[str] = set()
    for role in ("primary", "replica"):
        chosen = f"cnpg.io/cluster={NAME},cnpg.io/podRole=instance,cnpg.io/instanceRole={role}"
        port = forward.port(instances.ground.place, instances.ground.key, chosen, 9187)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            served |= {line.partition(" ")[0].partition("{")[0] for line in answer.read().decode().splitlines()}
        [container] = instances.ground.pod(chosen)["spec"]["containers"]
        assert {"name": "metrics", "containerPort": 9187, "protocol": "TCP"} in container["ports"]
    watched = Watched("keelson-prod", "platform", replicated={NAME: 3}, agent=False)
    wanted = {name for name in named([*of_rules(watched), *of_pages(watched)]) if name.startswith(OF_INSTANCES)}
    assert len(wanted) > 10
    assert not wanted - served


def test_no_acknowledged_write_is_lost_though_the_primary_is_killed_again_and_again(instances: Instances) -> None:
    with instances.connect() as connection:
        connection.execute("CREATE TABLE written (number bigint PRIMARY KEY)")
    with writing(instances) as writers:
        pauses = [pause_of_a_kill(instances, writers) for _ in range(KILLS)]
    with instances.connect() as connection:
        found = {number for (number,) in connection.execute("SELECT number FROM written")}
    LOG.info(
        "%d rows acknowledged; seconds without writes: %s",
        len(writers.acknowledged),
        [round(each, 1) for each in pauses],
    )
    assert not writers.acknowledged.keys() - found, f"of {len(writers.acknowledged)} acknowledged"


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
