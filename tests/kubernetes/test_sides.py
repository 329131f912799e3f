"""Servers beside the live ones, as their operator is told of them; `tests/stack/test_archives_of_clusters.py` makes real ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from keelson.kubernetes import barman, names, sides
from keelson.kubernetes.archives import Window
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.sides import Wish

MOMENT = datetime(2026, 11, 22, 8, 15, 0, 250000, tzinfo=UTC)
ARCHIVE = Window("main-1", present=True, first=datetime(2026, 11, 20, tzinfo=UTC))
LIVE: Json = {
    "spec": {
        "instances": 3,
        "imageName": "registry.example/postgres-ha:17.12-1",
        "bootstrap": {"initdb": {"database": "postgres"}},
        "plugins": barman.plugins("main", "1"),
        "superuserSecret": {"name": "main-superuser"},
        "inheritedMetadata": {"labels": names.labels("keelson-prod", "main")},
        "topologySpreadConstraints": [{"labelSelector": {"matchLabels": {names.CLUSTER_LABEL: "main"}}}],
        "postgresql": {
            "shared_preload_libraries": ["timescaledb", "pg_stat_statements"],
            "synchronous": {"number": 1},
            "pg_hba": ["hostssl all all all scram-sha-256"],
            "parameters": {"max_connections": "200"},
        },
        "storage": {"size": "30Gi"},
    }
}


@pytest.fixture
def made() -> Json:
    return sides.spec(LIVE, "keelson-prod", "then", Wish("main", ARCHIVE, MOMENT))


def test_it_is_made_of_the_archive_up_to_the_moment_and_archives_nothing(made: Json) -> None:
    assert made["bootstrap"]["recovery"]["recoveryTarget"] == {"targetTime": "2026-11-22T08:15:00.250000Z"}
    (source,) = made["externalClusters"]
    assert source["plugin"]["parameters"] == {"barmanObjectName": "main-archive", "serverName": "main-1"}
    assert "plugins" not in made


def test_as_far_as_the_archive_goes_there_is_no_target() -> None:
    made = sides.spec(LIVE, "keelson-prod", "then", Wish("main", ARCHIVE, None))
    assert "recoveryTarget" not in made["bootstrap"]["recovery"]


def test_it_is_one_instance_as_large_as_the_live_ones_and_none_of_them(made: Json) -> None:
    assert (made["instances"], made["storage"]) == (1, {"size": "30Gi"})
    assert made["inheritedMetadata"]["labels"][names.PART_LABEL] == "then"
    assert "topologySpreadConstraints" not in made  # an empty list has the operator make its pod anew for ever
    assert "synchronous" not in made["postgresql"]


def test_it_lets_in_administrators_alone_and_runs_no_job(made: Json) -> None:
    assert made["postgresql"]["pg_hba"] == ["hostssl all postgres all scram-sha-256", "host all all all reject"]
    parameters = made["postgresql"]["parameters"]
    assert parameters == {"max_connections": "200", "timescaledb.max_background_workers": "0"}
