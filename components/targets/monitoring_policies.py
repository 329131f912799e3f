"""Who reaches what serves figures, and what an exporter reaches, as NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keelson.containers.agent import PORT as AGENTS_PORT
from keelson.kubernetes import names, part
from keelson.monitoring.watched import AGENT, Watched, of
from keelson.settings.monitoring import EXPORTERS, exporter_of
from keelson.settings.stack import Stack

Json = dict[str, Any]
INSTANCES_PORT, POOLERS_PORT = 9187, 9127  # of CloudNativePG's instances and poolers, which bear the same label


def policies(stack: Stack) -> Mapping[str, Json]:
    """Return by name what lets Prometheus reach the ports of figures alone, and exporters their servers; nothing without monitoring."""
    monitoring = stack.settings.kubernetes.monitoring
    return {} if monitoring is None else dict(_policies(of(stack), monitoring.namespace))


def _policies(watched: Watched, namespace: str) -> Iterator[tuple[str, Json]]:
    prometheus = {"namespaceSelector": {"matchLabels": {names.NAMESPACE_LABEL: namespace}}}
    for kind, watching in (("server", watched.servers), ("redis", watched.redis)):
        serves = part.kind(EXPORTERS[kind]).listens_on
        asks = part.kind(kind).listens_on
        for name in watching:
            exporter = exporter_of(name)
            yield f"figures-of-{names.of(name)}", _opened(_part(exporter), prometheus, serves)
            aim = _part(name, *([f"{name}-proxy"] if watched.redis.get(name, 1) > 1 else []))
            yield f"from-{names.of(exporter)}", _let_out(_part(exporter), aim, asks)
            yield f"{names.of(exporter)}-asks", _opened(aim, {"podSelector": _part(exporter)}, asks)
    for name in watched.replicated:
        chosen = {"matchLabels": {names.CLUSTER_LABEL: names.of(name)}}
        yield f"figures-of-{names.of(name)}", _opened(chosen, prometheus, INSTANCES_PORT, POOLERS_PORT)
    if watched.agent:
        yield f"figures-of-{AGENT}", _opened(_part(AGENT), prometheus, AGENTS_PORT)


def _opened(chosen: Json, peer: Json, *ports: int) -> Json:
    return {
        "podSelector": chosen,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [peer], "ports": [{"port": port, "protocol": "TCP"} for port in ports]}],
    }


def _let_out(chosen: Json, peer: Json, port: int) -> Json:
    return {
        "podSelector": chosen,
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": peer}], "ports": [{"port": port, "protocol": "TCP"}]}],
    }


def _part(*parts: str) -> Json:
    return {"matchExpressions": [{"key": names.PART_LABEL, "operator": "In", "values": list(parts)}]}
