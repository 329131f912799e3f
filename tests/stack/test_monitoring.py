"""A whole stack that is watched, in a real cluster: exporters have figures, and every figure that an alert or a panel names is one of them."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keelson.endpoint import Reference, resolve
from keelson.errors import UnreachableError
from keelson.monitoring.watched import Watched
from tests.monitoring.queries import CLUSTERS_OWN, named, of_pages, of_rules
from tests.stack.harness import changed, wait_until
from tests.stack.kubernetes_stack import SMALL, KubernetesStack
from tools.kubernetes import monitoring

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough, pytest.mark.timeout(600)]
API = "monitoring.coreos.com/v1"
WATCHED = {"namespace": "watchers", "labels": {"release": "prometheus"}}
PLAIN: dict[str, Any] = {"images": "debian", "storage": SMALL, "backup_storage": SMALL}
PARTS = {"redis": {"redis": {}}, "agent": {"enabled": True}}
EXPORTERS = ("main-exporter", "redis-exporter")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path, docker_host: str) -> Iterator[KubernetesStack]:
    """A stack with a server, a Redis and an agent, which is watched; the cluster did not know of monitoring at first."""
    monitoring.remove(kubeconfig.parent)
    made = KubernetesStack(tmp_path_factory.mktemp("monitoring"), kubeconfig, docker_host, kubernetes=PLAIN, **PARTS)
    made.write_service("notes")
    made.write_settings(kubernetes=PLAIN | {"monitoring": WATCHED})
    try:
        _refused(made)
        monitoring.install(kubeconfig.parent)
        made.keelson("up", timeout=400)
        made.run_job("notes-backup")
        yield made
    finally:
        made.end()


def _refused(stack: KubernetesStack) -> None:
    """See that nothing is made where the cluster lacks what it must know, and that it is said."""
    done = stack.keelson("up", check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert (
        "knows no PodMonitor of monitoring.coreos.com/v1; install prometheus-operator, or take out the setting" in said
    )
    assert "'keelson:kubernetes.monitoring'" in said
    assert "Traceback" not in said
    assert not stack.things()


def _page(stack: KubernetesStack, part: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port(part)}/metrics", timeout=20) as answer:
        return str(answer.read().decode())


def _figures(page: str) -> dict[str, float]:
    """Return the figures of a page by their names with labels."""
    found = re.findall(r"^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)(?: \d+)?$", page, re.MULTILINE)
    return {series: float(value) for series, value in found}


def test_exporters_see_their_parts_with_the_sizes_of_databases(stack: KubernetesStack) -> None:
    server, redis = (_figures(_page(stack, part)) for part in EXPORTERS)
    assert server["pg_up"] == 1
    assert server['pg_database_size_bytes{datname="notes"}'] > 1e6
    assert server["pg_exporter_last_scrape_error"] == 0
    assert {value for series, value in server.items() if series.startswith("pg_scrape_collector_success")} == {1}
    assert redis["redis_up"] == 1
    assert redis["redis_memory_max_bytes"] == 256 * 2**20


def test_every_figure_of_an_alert_or_a_panel_is_served(stack: KubernetesStack) -> None:
    wait_until(lambda: "keelson_backup_size_bytes{" in _page(stack, "agent"), "the agent saw the backup", 60)
    served = {series.partition("{")[0] for part in (*EXPORTERS, "agent") for series in _figures(_page(stack, part))}
    watched = Watched(stack.key, stack.key, ("main",), {}, {"redis": 1})
    drills = {"keelson_drill_well", "keelson_drill_timestamp_seconds"}  # of which nothing makes any here by itself
    wanted = named([*of_rules(watched), *of_pages(watched)]) - CLUSTERS_OWN - drills
    assert len(wanted) > 50
    assert not wanted - served


def test_the_login_of_an_exporter_reads_no_row(stack: KubernetesStack) -> None:
    reference = Reference(stack=stack.key, target=stack.place, server="main", database="postgres", role="monitor")
    with stack.here(), resolve(reference).connect() as monitor:
        assert monitor.execute("SELECT pg_database_size('notes') > 0").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute("SELECT * FROM keelson.ownership")
    with pytest.raises(UnreachableError, match=r"pg_hba\.conf rejects connection"):
        stack.connect("notes", "monitor")


def test_the_api_took_what_prometheus_reads_and_the_stack_is_well_with_it(stack: KubernetesStack) -> None:
    found = stack.cluster
    monitors = found.items(found.at("podmonitors", api=API))
    assert {each["metadata"]["name"] for each in monitors} == {*EXPORTERS, "agent"}
    assert all(each["metadata"]["labels"]["release"] == "prometheus" for each in monitors)
    [rules] = found.items(found.at("prometheusrules", api=API))
    assert len(rules["spec"]["groups"]) == 5
    wait_until(lambda: _well(stack), "the stack is well with its exporters", 120)
    assert not changed(stack.keelson("up").stdout)


def _well(stack: KubernetesStack) -> bool:
    status = json.loads(stack.keelson("status", "--json", check=False).stdout)
    return bool(status["well"]) and {*EXPORTERS} <= {part["name"] for part in status["parts"]}


@pytest.mark.long
def test_a_rotation_of_a_service_leaves_exporters_and_what_they_see_as_they_are(stack: KubernetesStack) -> None:
    pods = [stack.uid(part) for part in EXPORTERS]
    before = _figures(_page(stack, "main-exporter")).keys()
    stack.keelson("rotate", "notes")
    assert "//notes_app_b:" in stack.keelson("env", "notes", "--from", "cluster").stdout
    assert [stack.uid(part) for part in EXPORTERS] == pods
    server, redis = (_figures(_page(stack, part)) for part in EXPORTERS)
    assert (server["pg_up"], redis["redis_up"]) == (1, 1)
    assert server['pg_database_size_bytes{datname="notes"}'] > 1e6
    assert not {series for series in before if series.startswith("pg_scrape_collector")} - server.keys()
    wait_until(lambda: _well(stack), "the stack is well with its exporters", 120)
    stack.settings["rotation"] = {"notes": 2}  # for tests that write all settings anew


def test_lost_passwords_reach_exporters_and_without_the_setting_all_is_gone(stack: KubernetesStack) -> None:
    server, exporter = stack.uid("main"), stack.uid("main-exporter")
    stack.delete("secrets", "keelson-state")
    stack.keelson("up")
    assert stack.uid("main") == server
    assert stack.uid("main-exporter") != exporter
    assert _figures(_page(stack, "main-exporter"))["pg_up"] == 1
    stack.write_settings(kubernetes=PLAIN)
    stack.keelson("up")
    assert not [name for name in stack.things() if "exporter" in name or "configmap" in name]
    with stack.connect("notes", "admin") as connection:
        assert connection.execute("SELECT FROM pg_roles WHERE rolname = 'monitor'").fetchone() is None
    assert stack.uid("main") == server
