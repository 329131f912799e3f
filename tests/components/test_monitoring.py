"""What the setting `monitoring` adds to a stack in a cluster, on Pulumi's mocks; nothing without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keelson.kubernetes import names
from tests.components.test_kubernetes import MONITORED, PASSWORD, Made, Network, make, read, write_project

Json = dict[str, Any]
LABELS = {"release": "prometheus"}
WATCHED = {"main": 9187, "time_scale": 9187, "session_store": 9121, "cache": 9121}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("monitored"))


@pytest.fixture(scope="module")
def made(root: Path) -> Made:
    return make(read(root, "monitored", MONITORED))


def changed(root: Path, **changes: Any) -> Made:
    """Return the stack with other settings of the cluster."""
    return make(read(root, "monitored", MONITORED | {"kubernetes": MONITORED["kubernetes"] | changes}))


def of_monitoring(found: Made) -> set[str]:
    """Return the kinds and names of what a stack without monitoring does not have."""
    kinds = found.of_kind("PodMonitor", "PrometheusRule", "ConfigMap", "Deployment")
    return {f"{each['kind']}/{each['metadata']['name']}" for each in kinds} - {"Deployment/toolbox"}


def test_without_the_setting_nothing_is_made(root: Path) -> None:
    found = make(read(root, "monitored", MONITORED | {"kubernetes": {"image": MONITORED["kubernetes"]["image"]}}))
    assert not of_monitoring(found)
    assert "needs" not in found.inputs["monitored-ground"]
    assert not {name for name in found.inputs if "exporter" in name or name.endswith(("-monitor", "monitoring"))}
    assert "figures" not in json.dumps(found.of_kind("NetworkPolicy"), default=str)


def test_each_server_and_redis_has_an_exporter_and_all_of_them_and_the_agent_are_found(made: Made) -> None:
    exporters = {f"{names.of(name)}-exporter" for name in WATCHED}
    pages = {"keelson-overview", "keelson-postgresql", "keelson-redis"}
    assert of_monitoring(made) == {
        *(f"Deployment/{name}" for name in exporters),
        *(f"PodMonitor/{name}" for name in (*exporters, "agent")),
        "PrometheusRule/keelson",
        *(f"ConfigMap/{name}" for name in pages),
    }
    for kind in ("PodMonitor", "PrometheusRule"):
        assert all(each["metadata"]["labels"].items() >= LABELS.items() for each in made.of_kind(kind))
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in made.of_kind("ConfigMap"))


def test_alerts_and_pages_can_be_left_out(root: Path) -> None:
    found = changed(root, monitoring={"rules": False, "dashboards": False, "interval": "1m"})
    assert not found.of_kind("PrometheusRule", "ConfigMap")
    endpoints = [each["spec"]["podMetricsEndpoints"] for each in found.of_kind("PodMonitor")]
    assert [endpoint["interval"] for [endpoint] in endpoints] == ["1m"] * 5


def test_a_pod_monitor_finds_the_pods_of_one_part_and_a_port_that_they_have(made: Made) -> None:
    for monitor in made.of_kind("PodMonitor"):
        chosen = monitor["spec"]["selector"]["matchLabels"]
        name = monitor["metadata"]["name"]
        found = [pod for pod in made.pods.values() if chosen.items() <= pod["metadata"]["labels"].items()]
        assert found == [made.pods[name]]
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in {each["name"] for each in found[0]["spec"]["containers"][0]["ports"]}


def test_figures_say_of_which_part_they_are(made: Made) -> None:
    found = {
        each["metadata"]["name"]: each["spec"]["podMetricsEndpoints"][0].get("relabelings")
        for each in made.of_kind("PodMonitor")
    }
    assert found["time-scale-exporter"] == [{"targetLabel": "part", "replacement": "time_scale"}]
    assert found["agent"] is None  # whose figures say so themselves


def test_an_exporter_verifies_its_server_and_has_its_password_in_a_file_alone(made: Made) -> None:
    [container] = made.pods["time-scale-exporter"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["DATA_SOURCE_URI"].startswith("time-scale:5432/postgres?sslmode=verify-full&sslrootcert=/")
    assert variables["DATA_SOURCE_USER"] == "monitor"
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert variables["DATA_SOURCE_PASS_FILE"].startswith(f"{mounted['config']}/")
    [secret] = [each["secret"] for each in made.pods["time-scale-exporter"]["spec"]["volumes"] if "secret" in each]
    assert secret["secretName"] == "time-scale-exporter-config"
    assert PASSWORD not in json.dumps(made.inputs, default=str)


def test_an_exporter_comes_after_its_login_and_the_server_is_not_restarted_with_it(made: Made) -> None:
    for name in ("main", "time_scale"):
        login = made.urn_of(f"{name}-monitor")
        assert login in made.waits_for(made.urn_of(f"{name}-exporter-files"))
        assert made.urn_of(f"{name}-process") in made.waits_for(login)
        assert made.options[login].deletedWith.endswith(f"::{names.of(name)}-data")
        assert len(made.pods[names.of(name)]["spec"]["containers"]) == 1


def test_prometheus_reaches_the_ports_of_figures_alone(made: Made) -> None:
    network = Network(made)
    for name, port in WATCHED.items():
        exporter = f"{name}-exporter"
        assert network.lets("watchers/", exporter, port)
        assert not network.lets("stranger/", exporter, port)
        assert not network.lets("watchers/", name, 5432 if port == 9187 else 6379)
    assert network.lets("watchers/", "agent", 9180)
    assert not network.lets("watchers/", "toolbox", 9180)


def test_an_exporter_reaches_its_own_part_and_no_other(made: Made) -> None:
    network, kinds = Network(made), made.stack.settings.parts
    ports = {"server": 5432, "redis": 6379, "agent": 9180, "postgres-exporter": 9187, "redis-exporter": 9121}
    for name in WATCHED:
        reached = {aim for aim, kind in kinds.items() if network.lets(f"{name}-exporter", aim, ports[kind])}
        assert reached == {name}


def test_what_the_cluster_must_know_is_asked_for_before_anything_is_made(made: Made) -> None:
    assert made.inputs["monitored-ground"]["needs"] == {
        f"monitoring.coreos.com/v1/{kind}": "kubernetes.monitoring" for kind in ("PodMonitor", "PrometheusRule")
    }


def test_a_server_of_several_instances_serves_its_own_figures(root: Path) -> None:
    servers = {"main": {"ha": True}, "time_scale": {"timescaledb": True}}
    images = {"agent": "a:1", "postgres-ha": "b:17.1"}
    found = make(
        read(
            root,
            "monitored",
            MONITORED | {"servers": servers, "kubernetes": MONITORED["kubernetes"] | {"image": images}},
        )
    )
    assert "main-exporter" not in found.pods
    assert "time-scale-exporter" in found.pods
    [monitor] = [each for each in found.of_kind("PodMonitor") if each["metadata"]["name"] == "main"]
    assert monitor["spec"]["selector"]["matchLabels"]["cnpg.io/cluster"] == "main"
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
    [policy] = [each for each in found.of_kind("NetworkPolicy") if each["metadata"]["name"] == "figures-of-main"]
    assert policy["spec"]["podSelector"] == {"matchLabels": {"cnpg.io/cluster": "main"}}
    assert [each["port"] for each in policy["spec"]["ingress"][0]["ports"]] == [9187, 9127]
    assert "KeelsonInstancesMissing" in json.dumps(found.of_kind("PrometheusRule"))


def test_instances_and_their_pooler_are_asked_themselves(root: Path) -> None:
    servers = {**MONITORED["servers"], "main": {"ha": True, "pooler": {}}}
    found = make(read(root, "monitored", MONITORED | {"servers": servers}))
    chosen = {each["metadata"]["name"]: each["spec"]["selector"]["matchLabels"] for each in found.of_kind("PodMonitor")}
    assert chosen["main"] == {"cnpg.io/cluster": "main", "cnpg.io/podRole": "instance"}
    assert chosen["main-pooler"] == {"cnpg.io/poolerName": "main-pooler"}
    assert "main-exporter" not in chosen
