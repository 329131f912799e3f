"""What the instances of a Redis that has several are called.

The first one is the workload, the pod and the volume that a Redis without others has: so it keeps its data when others join it, or leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from keelson.kubernetes import names
from keelson.kubernetes.cluster import Cluster


@dataclass(frozen=True)
class Instance:
    """One instance of a Redis, from number 0 on."""

    redis: str
    number: int

    @property
    def part(self) -> str:
        """Which part its pod is, by its label."""
        return f"{self.redis}-{self.number}" if self.number else self.redis

    @property
    def workload(self) -> str:
        """Its StatefulSet."""
        return names.of(self.part)

    @property
    def pod(self) -> str:
        """Its pod."""
        return f"{self.workload}-0"

    @property
    def host(self) -> str:
        """Its Service, by which the others know it wherever its pod runs."""
        return f"{names.of(self.redis)}-{self.number}"


def instances(redis: str, count: int) -> tuple[Instance, ...]:
    """Return the instances of a Redis that has so many."""
    return tuple(Instance(redis, number) for number in range(count))


def addresses(cluster: Cluster, redis: str, count: int) -> dict[str, str]:
    """Return the hosts of the instances by the addresses of their Services, by which they know each other."""
    hosts = {each.host for each in instances(redis, count)}
    found = cluster.items(
        cluster.at("services"), f"{names.PART_LABEL} in ({','.join(each.part for each in instances(redis, count))})"
    )
    return {str(each["spec"]["clusterIP"]): name for each in found if (name := str(each["metadata"]["name"])) in hosts}


def proxy(redis: str) -> str:
    """Return which part the pods of its proxies are."""
    return f"{redis}-proxy"


def users(redis: str) -> str:
    """Return the Secret of the services' users, from which an instance has them that is made anew."""
    return f"{names.of(redis)}-users"


def helpers(redis: str, count: int) -> tuple[str, ...]:
    """Return the parts that a Redis has beside the one of its name."""
    if count == 1:
        return ()
    return (*(each.part for each in instances(redis, count)[1:]), proxy(redis))
