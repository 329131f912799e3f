"""Who reaches whom in a stack's namespace, as NetworkPolicies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from components.targets import monitoring_policies
from keelson.containers import replicas as containers
from keelson.containers.toolbox import NAME as TOOLBOX
from keelson.docker.images import choice
from keelson.kubernetes import names, part, replicas
from keelson.settings.images import ImageName
from keelson.settings.monitoring import EXPORTERS
from keelson.settings.point_in_time import is_archived
from keelson.settings.stack import Stack

Json = dict[str, Any]
OF_INSTANCES = 8000  # where the operator asks an instance how it is
OF_API = (443, 6443)  # of a Service, and of what stands behind it, where most clusters have it
ASKED_BY = {  # the toolbox carries connections too, where the API forwards none
    "server": (TOOLBOX, "agent", names.JOB, "pgadmin"),
    "redis": (TOOLBOX, "agent", names.JOB),
    "pgadmin": (TOOLBOX, "agent"),
    "agent": (TOOLBOX,),
    **dict.fromkeys(EXPORTERS.values(), (TOOLBOX, "agent")),
}


def policies(stack: Stack) -> Mapping[str, Json]:
    """Return by name what closes the namespace, lets pods find names and the stack's tools ask, and opens each part."""
    dns = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    tools = _one_of([TOOLBOX, "agent", names.JOB, "pgadmin"])
    drilled = _drilled_beside(stack)
    return {
        "closed": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        "names": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": dns}]},
        "tools": {"podSelector": tools, "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": {}}]}]},
        **{
            f"to-{names.of(name)}": _opened(stack, name, kind, [names.DRILL] if name in drilled else [])
            for name, kind in stack.settings.parts.items()
        },
        **_to_drilled(drilled),
        **_to_issuer(stack),
        **_to_outside(stack),
        **{
            f"among-{names.of(name)}": spec
            for name in stack.settings.redis
            for spec in _among(name, stack.settings.instances_of(name))
        },
        **{
            f"of-{names.of(name)}": _among_instances(stack, name)
            for name in stack.settings.servers
            if stack.settings.instances_of(name) > 1
        },
        **{
            f"to-{names.pooler(name)}": _of_pooler(stack, name)
            for name, each in stack.settings.servers.items()
            if each.pooler
        },
        **monitoring_policies.policies(stack),
    }


def _to_issuer(stack: Stack) -> Mapping[str, Json]:
    """Return what lets pgAdmin ask the issuer of its logins; a policy knows no names, so by its port alone."""
    oidc = stack.settings.pgadmin.oidc
    if oidc is None or not stack.settings.pgadmin.enabled:
        return {}
    return {"issuer": _let_out(["pgadmin"], [oidc.port])}


def _to_outside(stack: Stack) -> Mapping[str, Json]:
    """Return what lets those who make and read backups ask for a bucket, and tell a webhook; by their ports, likewise."""
    found = stack.settings.backup.ports_outside
    if not found:
        return {}
    return {"outside": _let_out([TOOLBOX, "agent", names.JOB, names.DRILL], found)}


def _drilled_beside(stack: Stack) -> list[str]:
    """Return the servers beside whose databases a drill may have to restore: a pod of it brings a server of Debian's packages alone."""
    images = stack.settings.kubernetes
    kinds: dict[str, ImageName] = {
        name: "postgres-ha" if stack.settings.instances_of(name) > 1 else choice.image_of_server(settings.timescaledb)
        for name, settings in stack.settings.servers.items()
    }
    return [name for name, image in kinds.items() if not choice.is_made_here(images, image)]


def _to_drilled(servers: Collection[str]) -> Mapping[str, Json]:
    if not servers:
        return {}
    to = [{"to": [{"podSelector": _one_of(servers)}], "ports": _tcp(part.kind("server").listens_on)}]
    return {"drills": {"podSelector": _one_of([names.DRILL]), "policyTypes": ["Egress"], "egress": to}}


def _let_out(parts: Collection[str], ports: Collection[int]) -> Json:
    return {"podSelector": _one_of(parts), "policyTypes": ["Egress"], "egress": [{"ports": _tcp(*ports)}]}


def _among(redis: str, count: int) -> list[Json]:
    """Return what lets the instances of a Redis reach each other, and its proxies them; nothing for a single one."""
    if count == 1:
        return []
    members = [redis, *replicas.helpers(redis, count)]
    ports = [{"port": port, "protocol": "TCP"} for port in (containers.PORT, containers.SENTINEL_PORT)]
    opened = {"podSelector": _one_of(members)}
    asking = {"podSelector": _one_of([*members, TOOLBOX])}
    return [
        {
            **opened,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [asking], "ports": ports}],
            "egress": [{"to": [opened], "ports": ports}],
        }
    ]


def _opened(stack: Stack, name: str, kind: str, also: Collection[str]) -> Json:
    """Return what opens a part to those who ask it."""
    asking = [*ASKED_BY[kind], *also]
    ports = _tcp(part.kind(kind).listens_on)
    several = kind == "redis" and stack.settings.instances_of(name) > 1
    return {
        "podSelector": _one_of([replicas.proxy(name) if several else name]),
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": _one_of(asking)}, *_namespaces(stack, name, kind)], "ports": ports}],
    }


def _of_pooler(stack: Stack, server: str) -> Json:
    """Return what opens a server's pooler to applications, and to the toolbox, which carries what is asked from outside.

    It reaches instances and API as they do: the operator labels its pods as the Cluster's too.
    """
    asking = [{"podSelector": _one_of([TOOLBOX])}, *_namespaces(stack, server, "server")]
    return {
        "podSelector": _one_of([names.pooler(server)]),
        "policyTypes": ["Ingress"],
        "ingress": [{"from": asking, "ports": _tcp(part.kind("server").listens_on)}],
    }


def _among_instances(stack: Stack, name: str) -> Json:
    """Return what lets the instances of a server reach each other and the cluster's API, and their operator reach them.

    The pods of the jobs that make an instance are meant too.
    """
    instances = {"matchLabels": {names.CLUSTER_LABEL: names.of(name)}}
    operator = {
        "namespaceSelector": {"matchLabels": {names.NAMESPACE_LABEL: stack.settings.kubernetes.operator.namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "cloudnative-pg"}},
    }
    served = _tcp(part.kind("server").listens_on, OF_INSTANCES)
    bucket = stack.settings.backup.bucket if is_archived(stack.settings, name) else None
    outside = sorted({*OF_API, *([bucket.port] if bucket else [])})
    return {
        "podSelector": instances,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": instances}, operator], "ports": served}],
        "egress": [{"to": [{"podSelector": instances}], "ports": served}, {"ports": _tcp(*outside)}],
    }


def _tcp(*ports: int) -> list[Json]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


def _namespaces(stack: Stack, name: str, kind: str) -> list[Json]:
    """Return the namespaces whose pods may connect."""
    return [
        {"namespaceSelector": {"matchLabels": {names.NAMESPACE_LABEL: namespace}}}
        for namespace in _clients(stack, name, kind)
    ]


def _clients(stack: Stack, name: str, kind: str) -> list[str]:
    """Return the namespaces whose services are on a server, or that use any, as each service may use each Redis; for pgAdmin its proxy's."""
    on = {
        "server": {service for service, database in stack.databases.items() if database.server == name},
        "redis": set(stack.databases),
    }.get(kind, set())
    if kind == "pgadmin":
        return [namespace] if (namespace := stack.settings.pgadmin.proxy) else []
    return [namespace for namespace, services in stack.settings.kubernetes.clients.items() if on & set(services)]


def _one_of(parts: Collection[str]) -> Json:
    return {"matchExpressions": [{"key": names.PART_LABEL, "operator": "In", "values": list(parts)}]}
