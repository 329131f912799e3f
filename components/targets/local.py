"""Servers as processes of this machine, under supervisor and bubblewrap."""

from __future__ import annotations

from pulumi import Output, Resource, ResourceOptions

from components.targets import RunningServer
from keelson.endpoint import Reference
from keelson.settings.stack import Stack
from providers.data_directory import DataDirectory
from providers.identity import Identity
from providers.local_server import LocalServer


class LocalTarget:
    """Makes: Identity <stack>; per server DataDirectory <server>-data and LocalServer <server>-process."""

    name = "local"

    def __init__(self, stack: Stack, parent: Resource) -> None:
        self._stack = stack
        self._identity = Identity(
            stack.name,
            {"key": stack.key, "environment": stack.settings.environment},
            ResourceOptions(parent=parent),
        )
        self.stack_id: Output[str] = self._identity.stack_id

    def server(self, name: str, parent: Resource) -> RunningServer:
        """Make the data directory and the supervised process."""
        data = self._data(name, parent)
        process = self._process(name, data, parent)
        return RunningServer(
            Reference(stack=self._stack.key, target=self.name, server=name), data, process, process.listens_on
        )

    def _data(self, name: str, parent: Resource) -> DataDirectory:
        protected = self._stack.settings.protected
        return DataDirectory(
            f"{name}-data",
            self._common(name) | {"path": str(self._stack.settings.servers[name].data_directory or "")},
            ResourceOptions(parent=parent, protect=protected, retain_on_delete=protected),
        )

    def _process(self, name: str, data: DataDirectory, parent: Resource) -> LocalServer:
        settings = self._stack.settings.servers[name]
        others = [other.preferred_port for key, other in self._stack.settings.servers.items() if key != name]
        return LocalServer(
            f"{name}-process",
            self._common(name)
            | {
                "data": data.location,
                "timescaledb": settings.timescaledb,
                "port": settings.port or 0,
                "preferred_port": settings.preferred_port,
                "avoid_ports": others,
                "parameters": self._stack.settings.parameters_of(name),
                "discarded": not self._stack.settings.protected,
            },
            ResourceOptions(parent=parent),
        )

    def _common(self, name: str) -> dict[str, object]:
        version = self._stack.settings.servers[name].version
        return {"key": self._stack.key, "stack_id": self.stack_id, "server": name, "version": version}
