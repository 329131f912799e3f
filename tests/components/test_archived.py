"""A server of several instances that is archived, on Pulumi's mocks: what its operator's plugin is told, and what stands around it."""

from __future__ import annotations

import json

import pytest

from components.targets import needs, network
from keelson.kubernetes import names
from tests.components.test_kubernetes import AGENT_IMAGE, Json, Made, make, read, write_project

SECRET = "a-secret-of-the-bucket"
SETTINGS: Json = {
    "environment": "staging",
    "servers": {"time_scale": {"ha": True, "postgres": {"work_mem": "5MB"}}, "small": {"point_in_time": False}},
    "databases": ["ticks"],
    "redis": {},
    "pgadmin": {"enabled": False},
    "agent": {"enabled": False},
    "backup": {
        "bucket": {
            "name": "shop-backups",
            "access_key": "AKIA",
            "secret_key": SECRET,
            "prefix": "postgres/",
            "endpoint": "https://s3.example:9000/",
            "region": "eu-central-1",
        },
        "recipients": [],
    },
    "point_in_time": {
        "enabled": True,
        "schedule": "30 3 * * *",
        "full_every": 10,
        "keep_full": 3,
        "encryption": "aws:kms",
    },
    "kubernetes": {"image": {"agent": AGENT_IMAGE, "postgres-ha": "registry.example/postgres-ha:17.12-1"}},
}
NAME = "time-scale-archive"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = write_project(tmp_path_factory.mktemp("archived"), {"ticks": "time_scale"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_CONFIG_PASSPHRASE", "a test's own")
        return make(read(root, "archived", SETTINGS))


@pytest.fixture
def cluster(made: Made) -> Json:
    (found,) = made.of_kind("Cluster")
    given: Json = found["spec"]
    return given


def test_a_server_sends_its_log_by_the_plugin_at_least_each_minute(cluster: Json) -> None:
    (plugin,) = cluster["plugins"]
    assert (plugin["name"], plugin["isWALArchiver"]) == ("barman-cloud.cloudnative-pg.io", True)
    assert plugin["parameters"] == {"barmanObjectName": NAME, "serverName": "time-scale-1"}
    assert cluster["postgresql"]["parameters"]["archive_timeout"] == "60s"
    assert "backup" not in cluster


def test_the_store_is_the_bucket_of_the_settings(made: Made) -> None:
    (found,) = made.of_kind("ObjectStore")
    assert found["metadata"]["name"] == NAME
    configuration = found["spec"]["configuration"]
    assert configuration["destinationPath"] == "s3://shop-backups/postgres/physical/keelson-archived/time_scale"
    assert configuration["endpointURL"] == "https://s3.example:9000"
    assert configuration["s3Credentials"]["secretAccessKey"] == {"name": NAME, "key": "ACCESS_SECRET_KEY"}
    assert (configuration["wal"]["encryption"], configuration["data"]["encryption"]) == ("aws:kms", "aws:kms")
    assert found["spec"]["retentionPolicy"] == "30d"


def test_backups_are_made_when_the_settings_say_after_the_server_sends_its_log(made: Made) -> None:
    (found,) = made.of_kind("ScheduledBackup")
    assert found["spec"]["schedule"] == "0 30 3 * * *"
    assert (found["spec"]["method"], found["spec"]["cluster"]) == ("plugin", {"name": "time-scale"})
    process = made.urn_of("time_scale-process")
    assert process in made.waits_for(made.urn_of(f"{NAME}-schedule"))


def test_the_key_to_the_bucket_is_there_before_the_server_and_in_no_object(made: Made) -> None:
    assert made.urn_of(f"{NAME}-key") in made.waits_for(made.urn_of("time-scale", "Cluster"))
    assert made.urn_of(f"{NAME}-store") in made.waits_for(made.urn_of("time-scale", "Cluster"))
    assert SECRET not in json.dumps(made.manifests, default=str)


def test_instances_reach_the_port_of_the_bucket(made: Made) -> None:
    (_, outside) = network.policies(made.stack)["of-time-scale"]["egress"]
    assert [each["port"] for each in outside["ports"]] == [443, 6443, 9000]


def test_the_plugin_is_looked_for_before_anything_is_made(made: Made) -> None:
    assert needs.of(made.stack.settings)["needs"] == {"barmancloud.cnpg.io/v1/ObjectStore": "point_in_time"}


def test_a_server_without_an_archive_is_told_nothing_of_one(made: Made) -> None:
    assert not [each for each in made.of_kind("StatefulSet") if NAME in json.dumps(each)]
    assert {each["metadata"]["name"] for each in made.of_kind("ObjectStore", "ScheduledBackup")} == {NAME}
    assert names.archive("time_scale") == NAME
