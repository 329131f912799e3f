"""Servers of several instances on Pulumi's mocks: the Cluster that their operator is given, and what stands around it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.targets import network
from components.targets.instances import as_kept
from keelson.kubernetes import instances, names
from tests.components.test_kubernetes import AGENT_IMAGE, SECRETS, Json, Made, make, read, write_project

OWN_IMAGE = "registry.example/postgres-ha:17.12@sha256:" + "0" * 64
SEVERAL: Json = {
    "environment": "prod",
    "servers": {
        "main": {"memory": "2gb", "cpus": 2, "storage": "30Gi", "wal_storage": "8Gi", "postgres": {"shared_buffers": "300MB"}},
        "time_scale": {"timescaledb": True, "pgaudit": True, "instances": 5, "synchronous": 2},
        "small": {"ha": False},
    },
    "databases": ["auth_service"],
    "redis": {},
    "kubernetes": {
        "ha": True,
        "namespace": "platform",
        "storage_class": "fast",
        "pull_secrets": ["registry"],
        "clients": {"shop": ["auth_service"]},
        "image": {"agent": AGENT_IMAGE, "postgres-ha": OWN_IMAGE},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = write_project(tmp_path_factory.mktemp("several"), {"auth_service": "main"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_CONFIG_PASSPHRASE", "a test's own")
        return make(read(root, "several", SEVERAL | SECRETS))


@pytest.fixture
def clusters(made: Made) -> dict[str, Json]:
    return {each["metadata"]["name"]: each["spec"] for each in made.of_kind("Cluster")}


def test_only_a_highly_available_server_is_a_cluster(made: Made, clusters: dict[str, Json]) -> None:
    assert {name: each["instances"] for name, each in clusters.items()} == {"main": 3, "time-scale": 5}
    assert {each["metadata"]["name"] for each in made.of_kind("StatefulSet")} == {"small", "pgadmin", "agent"}
    assert {each["metadata"]["name"] for each in made.of_kind("Service")} == {"small", "pgadmin", "agent"}


def test_a_commit_is_on_as_many_replicas_as_the_settings_say(clusters: dict[str, Json]) -> None:
    found = {name: each["postgresql"]["synchronous"] for name, each in clusters.items()}
    assert {name: each["number"] for name, each in found.items()} == {"main": 1, "time-scale": 2}
    assert all(each["dataDurability"] == "required" and each["failoverQuorum"] for each in found.values())


def test_an_instance_has_what_the_settings_say(clusters: dict[str, Json]) -> None:
    main = clusters["main"]
    assert main["resources"] == {
        "requests": {"cpu": "2", "memory": "2Gi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
    assert main["storage"] == {"size": "30Gi", "storageClass": "fast"}
    assert main["walStorage"] == {"size": "8Gi", "storageClass": "fast"}
    assert (main["imageName"], main["imagePullSecrets"]) == (OWN_IMAGE, [{"name": "registry"}])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0.1", "100m"),
        ("2", "2"),
        ("1.5", "1500m"),
        ("2048Mi", "2Gi"),
        ("1048576Mi", "1Ti"),
        ("320Mi", "320Mi"),
        ("3Ti", "3Ti"),
    ],
)
def test_a_quantity_is_written_as_the_operator_keeps_it(given: str, kept: str) -> None:
    assert as_kept(given) == kept


def test_parameters_fit_the_memory_unless_the_settings_say_others(clusters: dict[str, Json]) -> None:
    main, other = (clusters[name]["postgresql"]["parameters"] for name in ("main", "time-scale"))
    assert (main["shared_buffers"], other["shared_buffers"]) == ("300MB", "512MB")
    assert main["effective_cache_size"] == "1433MB"
    assert all(isinstance(value, str) for value in main.values())


def test_the_operators_own_parameters_are_left_to_it(clusters: dict[str, Json]) -> None:
    for each in clusters.values():
        assert not instances.OPERATORS & each["postgresql"]["parameters"].keys()
        assert not [name for name in each["postgresql"]["parameters"] if name.startswith("pgaudit.")]
    libraries = {name: each["postgresql"]["shared_preload_libraries"] for name, each in clusters.items()}
    assert libraries["time-scale"] == ["timescaledb", "pg_stat_statements", "pgaudit"]  # which its settings say
    assert libraries["main"] == ["pg_stat_statements"]  # of an image of the user's own nothing is known


def test_databases_and_roles_are_not_the_operators(clusters: dict[str, Json]) -> None:
    for each in clusters.values():
        assert each["bootstrap"]["initdb"]["database"] == "postgres"
        assert not {"managed", "backup", "monitoring"} & each.keys()


def test_instances_reach_each_other_and_only_the_operator_asks_how_they_are(made: Made) -> None:
    policies = network.policies(made.stack)
    assert {name for name in policies if name.startswith("of-")} == {"of-main", "of-time-scale"}
    found = policies["of-time-scale"]
    assert found["podSelector"] == {"matchLabels": {names.CLUSTER_LABEL: "time-scale"}}
    (ingress,) = found["ingress"]
    assert [port["port"] for port in ingress["ports"]] == [5432, 8000]
    assert ingress["from"][1]["namespaceSelector"] == {"matchLabels": {names.NAMESPACE_LABEL: "cnpg-system"}}


def test_what_a_server_holds_goes_with_its_cluster_which_a_protected_stack_keeps(made: Made) -> None:
    cluster = made.urn_of("main", "Cluster")
    assert made.options[cluster].protect
    assert made.options[cluster].retainOnDelete
    assert made.options[made.urn_of("auth_service-schema")].deletedWith == cluster


def test_the_operator_is_looked_for_before_anything_is_asked_of_it(made: Made) -> None:
    (operator,) = [urn for urn in made.options if urn.endswith("::several-operator")]
    assert operator in made.waits_for(made.urn_of("main", "Cluster"))
    assert made.inputs["several-operator"]["install"] is False


def test_no_secret_stands_in_a_cluster(made: Made) -> None:
    secret = [*SECRETS["passwords"].values(), SECRETS["pgadmin"]["password"]]
    text = json.dumps(made.of_kind("Cluster"), default=str)
    assert not any(each in text for each in secret)
    wanted: dict[str, Any] = {
        each["metadata"]["name"]: each["spec"]["superuserSecret"] for each in made.of_kind("Cluster")
    }
    assert wanted["main"] == {"name": "main-superuser"}
