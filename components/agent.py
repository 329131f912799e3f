"""The agent: it runs the stack's jobs, and says how the stack is."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi import ComponentResource, Resource, ResourceOptions

from components.targets import Target


class Agent(ComponentResource):
    """The stack's agent.

    Makes what its target makes: on `local` LocalDaemon agent-process.
    """

    def __init__(self, target: Target, after: Sequence[Resource], opts: ResourceOptions | None = None) -> None:
        super().__init__("keelson:index:Agent", "agent", {}, opts)
        running = target.agent(after, self)
        self.port = running.port
        self.register_outputs({"port": self.port})
