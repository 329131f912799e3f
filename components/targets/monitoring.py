"""How Prometheus and Grafana of the same cluster see a stack: exporters, what finds them, alerts and pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi_kubernetes as kubernetes
from pulumi import ComponentResource, Output, Resource, ResourceOptions

from components.targets import RunningServer
from components.targets.containers import Wanted
from components.targets.objects import Objects
from keelson.kubernetes import names
from keelson.monitoring import dashboards, rules
from keelson.monitoring.watched import AGENT, API, PART, Watched, of
from keelson.settings.monitoring import EXPORTERS, MonitoringSettings, exporter_of
from keelson.settings.stack import Stack
from providers.monitor_role import MonitorRole

Json = dict[str, Any]
GRAFANA = {"grafana_dashboard": "1"}  # the label that its sidecar looks for
STRATEGY = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}  # no quota has room for two
OPERATORS_PORT = "metrics"  # of CloudNativePG's instances and poolers


@dataclass(frozen=True)
class Workshop:
    """What a target makes objects with.

    Attributes:
        stack: whose objects they are.
        objects: what makes them.
        ground: the namespace, which they are in.
        stack_id: the stack's random id.
        marks: inputs that change when the stack's passwords were lost.
        workload: makes a part without a volume.
        named: returns the metadata of an object of a part.
        options: returns the options of an object below a resource.
    """

    stack: Stack
    objects: Objects
    ground: Resource
    stack_id: Output[str]
    marks: Mapping[str, Output[str]]
    workload: Callable[[Wanted], Resource]
    named: Callable[[str, str, Mapping[str, str] | None], Json]
    options: Callable[..., ResourceOptions]


class Monitoring(ComponentResource):
    """What watches a stack.

    Makes: per server of one instance MonitorRole <server>-monitor; per such server and Redis the part <name>-exporter; PodMonitors of these,
    of the agent, and of CloudNativePG's instances and poolers; PrometheusRule keelson; ConfigMap keelson-<page> for each dashboard.
    """

    def __init__(
        self,
        settings: MonitoringSettings,
        workshop: Workshop,
        servers: Mapping[str, RunningServer],
        redis: Mapping[str, RunningServer],
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("keelson:index:Monitoring", "monitoring", {}, opts)
        self._settings, self._workshop = settings, workshop
        self._watched: Watched = of(workshop.stack)
        for name in self._watched.servers:
            self._exporter(name, "server", self._role(name, servers[name]))
        for name in self._watched.redis:
            self._exporter(name, "redis", redis[name].process, workshop.stack.settings.encryption_of(name))
        for name, spec in self._monitors().items():
            self._monitor(name, spec)
        if settings.rules:
            self._custom("PrometheusRule", "keelson", {"groups": rules.groups(self._watched)})
        if settings.dashboards:
            for name, page in dashboards.pages(self._watched).items():
                self._page(f"keelson-{name}", page)
        self.register_outputs({})

    def _role(self, name: str, server: RunningServer) -> MonitorRole:
        """Make the login of a server's exporter; it goes with the server's volume."""
        inputs = {
            "reference": server.reference.as_input(),
            "stack_id": self._workshop.stack_id,
            **self._workshop.marks,
        }
        options = ResourceOptions(parent=self, depends_on=[server.process], deleted_with=server.volume)
        return MonitorRole(f"{name}-monitor", inputs, options)

    def _exporter(self, name: str, kind: str, after: Resource, more: Mapping[str, str] | None = None) -> Resource:
        image: Any = EXPORTERS[kind]
        told = {"part": name, **(more or {})}
        return self._workshop.workload(Wanted(exporter_of(name), image, image, told, self, after=[after]))

    def _monitors(self) -> dict[str, Json]:
        """Return by name how each PodMonitor chooses its pods, and which port of them it asks."""
        key, watched = self._workshop.stack.key, self._watched
        exporters = {
            names.of(exporter_of(name)): _finding(names.labels(key, exporter_of(name)), "main", name)
            for name in (*watched.servers, *watched.redis)
        }
        instances = {
            names.of(name): _finding(
                {names.CLUSTER_LABEL: names.of(name), "cnpg.io/podRole": "instance"}, OPERATORS_PORT, name
            )
            for name in watched.replicated
        }
        servers = self._workshop.stack.settings.servers
        poolers = {
            names.pooler(name): _finding({names.POOLER_LABEL: names.pooler(name)}, OPERATORS_PORT, name)
            for name in watched.replicated
            if servers[name].pooler
        }
        agent = {AGENT: _finding(names.labels(key, AGENT), "main")} if watched.agent else {}
        return exporters | instances | poolers | agent

    def _monitor(self, name: str, spec: Json) -> None:
        endpoint = spec["podMetricsEndpoints"][0] | {"interval": self._settings.interval}
        self._custom("PodMonitor", name, spec | {"podMetricsEndpoints": [endpoint]})

    def _custom(self, kind: str, name: str, spec: Json) -> None:
        self._workshop.objects.make(
            kubernetes.apiextensions.CustomResource,
            f"{name}-{kind.lower()}",
            api_version=API,
            kind=kind,
            metadata=self._workshop.named(name, "monitoring", self._settings.labels),
            spec=spec,
            opts=self._workshop.options(self, depends_on=[self._workshop.ground]),
        )

    def _page(self, name: str, page: Json) -> None:
        self._workshop.objects.make(
            kubernetes.core.v1.ConfigMap,
            name,
            metadata=self._workshop.named(name, "monitoring", GRAFANA),
            data={f"{name}.json": json.dumps(page, ensure_ascii=False, sort_keys=True)},
            opts=self._workshop.options(self, depends_on=[self._workshop.ground]),
        )


def _finding(labels: Mapping[str, str], port: str, name: str = "") -> Json:
    """Return a PodMonitor's choice of pods; their figures get the part's name as a label, where one is given."""
    relabelings = [{"targetLabel": PART, "replacement": name}] if name else []
    endpoint = {"port": port, "path": "/metrics", **({"relabelings": relabelings} if relabelings else {})}
    return {"selector": {"matchLabels": dict(labels)}, "podMetricsEndpoints": [endpoint]}
