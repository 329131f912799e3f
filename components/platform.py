"""A whole stack: its servers, and a database for every service."""

from __future__ import annotations

from typing import Any

from pulumi import ComponentResource, Output, ResourceOptions

from components.database import ServiceDatabase, ServicePlace
from components.server import Server
from components.targets import target_for
from keelson.settings.stack import Stack


class Platform(ComponentResource):
    """All parts of a stack.

    Makes: Identity <stack>, a Server for each server of the settings, a ServiceDatabase for each database.
    """

    def __init__(self, stack: Stack, opts: ResourceOptions | None = None) -> None:
        super().__init__("keelson:index:Platform", stack.name, {}, opts)
        self._target = target_for(stack, self)
        self.servers = {name: self._server(stack, name) for name in stack.settings.servers}
        self.databases = {name: self._database(stack, name) for name in stack.databases}
        self.register_outputs({"endpoints": self.endpoints})

    @property
    def endpoints(self) -> dict[str, Any]:
        """Where each server answers, and what it holds; no password."""
        return {
            name: {"port": server.port, "databases": self._databases_on(server)}
            for name, server in self.servers.items()
        }

    @property
    def versions(self) -> dict[str, Output[str]]:
        """The schema version of each database."""
        return {name: database.schema.version for name, database in self.databases.items()}

    def _databases_on(self, server: Server) -> list[str]:
        return [name for name, database in self.databases.items() if database.server is server]

    def _server(self, stack: Stack, name: str) -> Server:
        return Server(name, stack.settings.servers[name], self._target, ResourceOptions(parent=self))

    def _database(self, stack: Stack, name: str) -> ServiceDatabase:
        definition = stack.databases[name]
        server = self.servers[definition.server]
        place = ServicePlace(stack, self._target.stack_id, server)
        return ServiceDatabase(name, definition, place, ResourceOptions(parent=server))
