"""A Redis of several instances on target kubernetes, on Pulumi's mocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from keelson.errors import SettingsError
from keelson.kubernetes import names
from keelson.settings.stack import read_stack
from tests.components.test_kubernetes import NEWEST, OLDEST, Json, Made, Network, _is_chosen, _name, make, read

INSTANCES = ["cache", "cache-1", "cache-2"]
PROXY = "cache-proxy"
SETTINGS: Json = {
    "environment": "dev",
    "servers": {"main": {}},
    "databases": ["auth"],
    "redis": {"cache": {"ha": True, "storage": "3Gi", "cpus": 2}, "session_store": {}},
    "pgadmin": {"enabled": False},
    "kubernetes": {
        "clients": {"shop": ["auth"]},
        "image": {name: f"registry.example/{name}:1" for name in ("agent", "haproxy", "redis")},
    },
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project")
    folder = made / "sql/auth/migrations"
    folder.mkdir(parents=True)
    (folder / "001_first.sql").write_text("CREATE TABLE first (id int PRIMARY KEY);\n")
    (folder.parent / "database.yaml").write_text("server: main\n")
    return made


@pytest.fixture(scope="module")
def made(root: Path) -> Made:
    return make(read(root, "ha", SETTINGS))


def _with(**redis: Any) -> Json:
    return SETTINGS | {"redis": redis}


def test_an_instance_has_a_workload_a_name_and_a_volume_of_its_own(made: Made) -> None:
    found = {
        kind: {_name(each) for each in made.of_kind(kind)}
        for kind in ("StatefulSet", "Deployment", "Service", "PodDisruptionBudget")
    }
    assert found["StatefulSet"] >= {*INSTANCES}
    assert found["Deployment"] == {"toolbox", PROXY}
    assert found["Service"] >= {"cache", "cache-0", "cache-1", "cache-2", "session-store"}
    assert found["PodDisruptionBudget"] == {"cache", PROXY}
    claims = {made.pods[name]["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"] for name in INSTANCES}
    assert claims == {"cache-data", "cache-1-data", "cache-2-data"}
    assert all(made.inputs[claim]["size"] == "3Gi" for claim in claims)


def test_each_object_is_as_the_oldest_and_the_newest_api_have_it(made: Made) -> None:
    for manifest in made.manifests:
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_first_instance_is_what_a_single_redis_is_so_that_it_keeps_its_data(made: Made, root: Path) -> None:
    single = make(read(root, "ha", _with(cache={})))
    fixed = [
        next(each["spec"] for each in of.of_kind("StatefulSet") if _name(each) == "cache") for of in (made, single)
    ]
    for key in ("selector", "serviceName", "podManagementPolicy", "replicas", "updateStrategy"):
        assert fixed[0].get(key) == fixed[1].get(key), "the API refuses a change"


def test_a_redis_without_others_is_as_it_was(made: Made, root: Path) -> None:
    single = make(read(root, "ha", SETTINGS | {"redis": {"cache": {}, "session_store": {}}}))
    for name in ("session-store", "main"):
        assert made.pods[name]["spec"] == single.pods[name]["spec"]
    assert "instances" not in made.inputs["session_store-files"]["settings"]


def test_clients_come_to_the_master_by_the_name_of_the_part(made: Made) -> None:
    (service,) = (each for each in made.of_kind("Service") if _name(each) == "cache")
    chosen = [
        name
        for name, each in made.pods.items()
        if _is_chosen({"matchLabels": service["spec"]["selector"]}, each["metadata"]["labels"])
    ]
    assert chosen == [PROXY]
    assert [each["port"] for each in service["spec"]["ports"]] == [6379]


def test_an_instance_is_known_by_its_name_before_it_is_ready(made: Made) -> None:
    for number, pod in enumerate(INSTANCES):
        (service,) = (each["spec"] for each in made.of_kind("Service") if _name(each) == f"cache-{number}")
        assert service["publishNotReadyAddresses"] is True
        assert "clusterIP" not in service, "a sentinel knows the others by an address that lasts"
        assert _is_chosen({"matchLabels": service["selector"]}, made.pods[pod]["metadata"]["labels"])
        variables = {each["name"]: each["value"] for each in made.pods[pod]["spec"]["containers"][0]["env"]}
        assert variables["KEELSON_INSTANCE"] == f"cache-{number}"


def test_instances_are_spread_over_nodes_and_only_one_is_taken_at_a_time(made: Made) -> None:
    for budget in made.of_kind("PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1
        selector = budget["spec"]["selector"]
        chosen = {name for name, each in made.pods.items() if _is_chosen(selector, each["metadata"]["labels"])}
        assert chosen == ({PROXY} if _name(budget) == PROXY else {*INSTANCES})
        for name in chosen:
            spreads = made.pods[name]["spec"]["topologySpreadConstraints"]
            assert {each["topologyKey"] for each in spreads} == {
                "kubernetes.io/hostname",
                "topology.kubernetes.io/zone",
            }
            assert all(each["whenUnsatisfiable"] == "ScheduleAnyway" for each in spreads)
            assert all(each["labelSelector"] == selector for each in spreads)


def test_no_pod_is_made_anew_but_by_what_knows_which_one_is_the_master(made: Made) -> None:
    for each in made.of_kind("StatefulSet"):
        kind = each["spec"].get("updateStrategy", {}).get("type")
        assert kind == ("OnDelete" if _name(each) in INSTANCES[1:] else None)


def test_a_master_that_ends_hands_over_first_and_has_the_time_for_it(made: Made) -> None:
    for name in INSTANCES:
        redis, sentinel = made.pods[name]["spec"]["containers"]
        assert redis["lifecycle"]["preStop"]["exec"]["command"][-1].endswith("handover.sh")
        assert made.pods[name]["spec"]["terminationGracePeriodSeconds"] >= 120
        assert (redis["resources"]["limits"]["memory"], sentinel["name"]) == ("512Mi", "sentinel")


def test_a_proxy_sees_its_own_configuration_alone(made: Made) -> None:
    (volume,) = (each["secret"] for each in made.pods[PROXY]["spec"]["volumes"] if "secret" in each)
    assert {each["path"] for each in volume["items"]} == {"proxy.cfg", "proxy.sh", "ca.crt"}


def test_pods_are_what_pod_security_calls_restricted(made: Made) -> None:
    for name in (*INSTANCES, PROXY):
        spec = made.pods[name]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("cache", False)
        mounted = {each["name"] for container in spec["containers"] for each in container["volumeMounts"]}
        assert mounted == {each["name"] for each in spec["volumes"]}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_instances_reach_each_other_and_clients_reach_the_proxies_alone(made: Made) -> None:
    network = Network(made)
    for aim in INSTANCES:
        for port in (6379, 26379):
            found = {source for source in made.parts if network.lets(source, aim, port)}
            assert found == {*INSTANCES, PROXY, "toolbox"}
            assert not network.lets("shop/", aim, port)
    assert network.lets("shop/", PROXY, 6379)
    assert {source for source in made.parts if network.lets(source, PROXY, 6379)} >= {"toolbox", "agent", "backup"}
    assert not network.lets(PROXY, "main", 5432)
    assert not network.lets("cache-1", "session_store", 6379)


def test_all_bears_the_labels_by_which_it_is_found_and_belongs_to_its_redis(made: Made) -> None:
    for name in ("cache-1", "cache-2", PROXY):
        labels = made.pods[name]["metadata"]["labels"]
        assert (labels[names.PART_LABEL], labels[names.MEMBER_LABEL]) == (name, "cache")
        assert labels["app.kubernetes.io/name"] == "redis"
    assert names.MEMBER_LABEL not in made.pods["cache"]["metadata"]["labels"]


def test_what_is_written_before_a_pod_is_made_says_how_many_there_are(made: Made) -> None:
    assert made.inputs["cache-files"]["settings"]["instances"] == 3
    for name in ("cache", "cache-1", "cache-2"):
        urn = made.urn_of(name, ":StatefulSet")
        assert made.urn_of("cache-files") in made.waits_for(urn)
        assert urn in made.waits_for(made.urn_of("cache-process"))


def test_a_volume_of_a_protected_stack_may_be_left_and_is_never_deleted(root: Path) -> None:
    made = make(read(root, "prod", SETTINGS | {"environment": "prod"}))
    found = {name: made.options[made.urn_of(name)] for name in ("cache-data", "cache-1-data", "cache-2-data")}
    assert {name: each.protect for name, each in found.items()} == {
        "cache-data": True,
        "cache-1-data": False,
        "cache-2-data": False,
    }
    assert all(each.retainOnDelete for each in found.values())


def test_more_instances_make_no_pod_of_those_that_are_there_anew(made: Made, root: Path) -> None:
    more = make(
        read(root, "ha", _with(cache={"ha": True, "instances": 5, "storage": "3Gi", "cpus": 2}, session_store={}))
    )
    same = [
        json.dumps([of.pods[name]["spec"]["containers"] for name in INSTANCES], sort_keys=True).replace(
            "keelson-more", "keelson-ha"
        )
        for of in (made, more)
    ]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("redis", "said"),
    [
        ({"cache": {"ha": True, "instances": 2}}, "of two the one that is left is no majority"),
        ({"cache": {"ha": True}, "cache_1": {}}, "the part cache_1 has the name of an object of cache"),
    ],
)
def test_what_cannot_be_is_refused(root: Path, redis: Json, said: str) -> None:
    config = {
        f"keelson:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in _with(**redis).items()
    }
    with pytest.raises(SettingsError, match=said):
        read_stack(config | {"keelson:target": "kubernetes"}, "keelson", "ha", root)


def test_users_are_made_on_each_instance_as_soon_as_it_joins(made: Made) -> None:
    assert made.inputs["cache-users"]["instances"] == 3
    assert "instances" not in made.inputs["session_store-users"]
