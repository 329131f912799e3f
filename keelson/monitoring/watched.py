"""What of a stack is watched, by whom, and under which names its figures are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keelson.kubernetes import names
from keelson.settings.monitoring import exporter_of
from keelson.settings.stack import Stack

PART = "part"  # a label of all figures but the agent's: the server or Redis that they are of
HERE = "HERE"  # in a query: what chooses the figures of the stack
AGENT = "agent"
API, KINDS = "monitoring.coreos.com/v1", ("PodMonitor", "PrometheusRule")  # of prometheus-operator


@dataclass(frozen=True)
class Watched:
    """A stack's parts, as far as there are figures of them.

    Attributes:
        key: the stack's.
        namespace: in which it is.
        servers: PostgreSQL servers of one instance, by an exporter each.
        replicated: those of several, by themselves, each with the number of its instances.
        redis: each with the number of its instances, by an exporter each.
        agent: whether there is one.
    """

    key: str
    namespace: str
    servers: tuple[str, ...] = ()
    replicated: Mapping[str, int] = field(default_factory=dict)
    redis: Mapping[str, int] = field(default_factory=dict)
    agent: bool = True

    @property
    def targets(self) -> dict[str, str]:
        """The PodMonitor of each part that is watched, by the part."""
        exporters = {part: names.of(exporter_of(part)) for part in (*self.servers, *self.redis)}
        own = {part: names.of(part) for part in self.replicated}
        return exporters | own | ({AGENT: AGENT} if self.agent else {})

    def job(self, part: str) -> str:
        """Return how Prometheus calls what it collects of a part."""
        return f"{self.namespace}/{self.targets[part]}"

    def query(self, text: str) -> str:
        """Return a query with what chooses this stack's figures in place of HERE."""
        return text.replace(HERE, f'namespace="{self.namespace}"')


def of(stack: Stack) -> Watched:
    """Return what of a stack is watched."""
    settings = stack.settings
    instances = {name: settings.instances_of(name) for name in (*settings.servers, *settings.redis)}
    return Watched(
        key=stack.key,
        namespace=str(settings.kubernetes.namespace),
        servers=tuple(name for name in settings.servers if instances[name] == 1),
        replicated={name: instances[name] for name in settings.servers if instances[name] > 1},
        redis={name: instances[name] for name in settings.redis},
        agent=settings.agent.enabled,
    )
