"""How a stack in a cluster is watched by Prometheus and Grafana there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from keelson.settings.model import Namespace, Settings

if TYPE_CHECKING:
    from keelson.settings.database import DatabaseDefinition
    from keelson.settings.stack import StackSettings

EXPORTERS = {
    "server": "postgres-exporter",
    "redis": "redis-exporter",
}  # by what they look at: their kind, and their image
LOGIN = "monitor"  # with which they log in
OWN_LABELS = ("keelson.dev/", "app.kubernetes.io/")

LabelName = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")]


class MonitoringSettings(Settings):
    """Who collects the stack's figures, by which labels it finds what to collect, and what it is told beside that."""

    namespace: Namespace = "monitoring"  # of Prometheus, which may reach what serves figures
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict)  # of PodMonitors and PrometheusRules
    rules: bool = True
    dashboards: bool = True
    interval: Annotated[str, Field(pattern=r"^[1-9]\d*(s|m)$")] = "30s"  # between two looks


def exporter_of(part: str) -> str:
    """Return the name of the exporter that looks at a part; no part of the settings can be called so."""
    return f"{part}-exporter"


def faults(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> Iterator[str]:
    """Give a sentence for each setting of the monitoring that cannot be; `databases` are the stack's services."""
    monitoring = settings.kubernetes.monitoring
    if monitoring is None:
        return
    key = "the setting 'keelson:kubernetes.monitoring"
    if monitoring.namespace == settings.kubernetes.namespace:
        yield (
            f"{key}.namespace' names {monitoring.namespace}, the stack's own namespace, which is closed to Prometheus; "
            "run that in another one, and name it"
        )
    for label in monitoring.labels:
        if label.startswith(OWN_LABELS):
            yield f"{key}.labels' has {label!r}, which Keelson sets itself; take it out"
    objects = {part.replace("_", "-") for part in settings.settings_of_parts}
    for name in settings.exporters:
        if name.replace("_", "-") in objects:
            yield f"{key}' makes {name.replace('_', '-')}, and a part of the stack is called so already; give that another name"
    for database, definition in databases.items():
        if LOGIN in definition.logins and exporter_of(definition.server) in settings.exporters:
            yield f"{key}' has a login {LOGIN!r} on {definition.server}, and so has {database}; give that of {database} another name"
