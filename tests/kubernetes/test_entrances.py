"""What several instances offer beside the one that takes writes: replicas to read from, a pooler, another primary."""

from __future__ import annotations

import pytest

from keelson.endpoint import Reference, resolve_at
from keelson.kubernetes.target import KubernetesTarget
from tests.kubernetes.instances import NAME, Instances

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough]


def reference(instances: Instances, role: str = "postgres", database: str = "postgres") -> Reference:
    ground = instances.ground
    return Reference(stack=ground.key, target=ground.place, server=NAME, database=database, role=role)


def test_the_replicas_are_read_from_and_verified(instances: Instances) -> None:
    place, key = KubernetesTarget(instances.ground.place), instances.ground.key
    endpoint = resolve_at(place.locate(key, NAME, "replicas"), reference(instances))
    assert endpoint.connection_parameters()["sslmode"] == "verify-full"
    with endpoint.connect() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    assert place.locate_inside(key, NAME, "replicas").host == f"main-ro.{instances.ground.cluster.namespace}.svc"
