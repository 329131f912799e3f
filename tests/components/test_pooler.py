"""A server's pooler on Pulumi's mocks: the Pooler that its operator is given, and what stands around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.targets import network
from keelson.kubernetes import names
from keelson.settings import demand
from tests.components.test_kubernetes import AGENT_IMAGE, Json, Made, make, read, write_project

SETTINGS: Json = {
    "environment": "dev",
    "servers": {
        "time_scale": {"ha": True, "pooler": {"mode": "session", "pool_size": 7, "max_client_conn": 400}},
        "small": {},
    },
    "databases": ["ticks"],
    "redis": {},
    "pgadmin": {"enabled": False},
    "agent": {"enabled": False},
    "kubernetes": {
        "pull_secrets": ["registry"],
        "clients": {"desk": ["ticks"]},
        "image": {
            "agent": AGENT_IMAGE,
            "postgres-ha": "registry.example/postgres-ha:17.12-1",
            "pgbouncer": "registry.example/pgbouncer:1",
        },
    },
}
NAME = "time-scale-pooler"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = write_project(tmp_path_factory.mktemp("pooled"), {"ticks": "time_scale"})
    return make(read(root, "pooled", SETTINGS))


@pytest.fixture
def spec(made: Made) -> Json:
    (found,) = made.of_kind("Pooler")
    assert (found["apiVersion"], found["metadata"]["name"]) == ("postgresql.cnpg.io/v1", NAME)
    given: Json = found["spec"]
    return given


def test_it_is_what_the_settings_say(spec: Json) -> None:
    assert (spec["cluster"], spec["type"], spec["instances"]) == ({"name": "time-scale"}, "rw", 2)
    bouncer = spec["pgbouncer"]
    assert (bouncer["poolMode"], bouncer["image"]) == ("session", "registry.example/pgbouncer:1")
    sizes = {
        name: bouncer["parameters"][name] for name in ("default_pool_size", "max_db_connections", "max_client_conn")
    }
    assert sizes == {"default_pool_size": "7", "max_db_connections": "7", "max_client_conn": "400"}


def test_it_shows_our_certificate_and_verifies_the_server(spec: Json) -> None:
    bouncer = spec["pgbouncer"]
    assert bouncer["clientTLSSecret"] == bouncer["serverCASecret"] == {"name": "time-scale-tls"}
    modes = {name: bouncer["parameters"][f"{name}_tls_sslmode"] for name in ("client", "server")}
    assert modes == {"client": "require", "server": "verify-full"}


def test_it_speaks_the_versions_of_tls_that_its_server_does(tmp_path: Path, spec: Json) -> None:
    assert spec["pgbouncer"]["parameters"]["server_tls_protocols"] == "tlsv1.3"
    assert spec["pgbouncer"]["parameters"]["client_tls_ciphers"].startswith("PSK-"), "which is of 1.2, and has no key"
    older = SETTINGS | {"postgres": {"ssl_min_protocol_version": "TLSv1.2"}}
    older_stack = make(read(write_project(tmp_path, {"ticks": "time_scale"}), "pooled", older))
    (found,), (server,) = older_stack.of_kind("Pooler"), older_stack.of_kind("Cluster")
    assert not [name for name in found["spec"]["pgbouncer"]["parameters"] if name.endswith(("protocols", "ciphers"))]
    assert server["spec"]["postgresql"]["parameters"]["ssl_min_protocol_version"] == "TLSv1.2"


def test_its_pods_ask_for_what_they_may_take_and_stand_apart(spec: Json, made: Made) -> None:
    pod = spec["template"]["spec"]
    for container in [*pod["containers"], *pod["initContainers"]]:
        assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"] == "178Mi"
    (term,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"] == {"matchLabels": {names.POOLER_LABEL: NAME}}
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    counted = [each for each in demand.pods(made.stack.settings, []) if each.memory == 178 * 2**20]
    assert [each.count for each in counted] == [2]


def test_whoever_empties_nodes_ends_one_of_its_pods_at_a_time(made: Made) -> None:
    (found,) = made.of_kind("PodDisruptionBudget")
    assert found["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": {names.POOLER_LABEL: NAME}}}


def test_applications_and_the_toolbox_alone_reach_it(made: Made, spec: Json) -> None:
    found = network.policies(made.stack)[f"to-{NAME}"]
    labels = spec["template"]["metadata"]["labels"]
    assert labels[names.PART_LABEL] in found["podSelector"]["matchExpressions"][0]["values"]
    (ingress,) = found["ingress"]
    assert [port["port"] for port in ingress["ports"]] == [5432]
    toolbox, desk = ingress["from"]
    assert toolbox["podSelector"]["matchExpressions"][0]["values"] == ["toolbox"]
    assert desk == {"namespaceSelector": {"matchLabels": {names.NAMESPACE_LABEL: "desk"}}}
    assert "to-small-pooler" not in network.policies(made.stack)


def test_an_application_is_told_of_it_once_it_serves(made: Made) -> None:
    assert made.inputs["desk-ticks"]["entrances"] == ["replicas", "pooler"]
    waited = made.waits_for(made.urn_of("desk-ticks"))
    assert made.urn_of(f"{NAME}-process") in waited
    assert made.urn_of("time_scale-process") in made.waits_for(made.urn_of(NAME, "Pooler"))


def test_another_pooler_is_waited_for_anew(made: Made, spec: Json) -> None:
    told = spec["serviceTemplate"]["metadata"]["annotations"]
    assert made.inputs[f"{NAME}-process"]["digest"] == told["keelson.dev/pooler"]


def test_migrations_and_backups_know_nothing_of_it(made: Made) -> None:
    for name in ("ticks-schema", "ticks-backup"):
        assert NAME not in str(made.inputs[name])
