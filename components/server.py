"""A PostgreSQL server of the stack."""

from __future__ import annotations

from pulumi import ComponentResource, ResourceOptions

from components.targets import Target
from keelson.settings.stack import ServerSettings


class Server(ComponentResource):
    """One PostgreSQL server, with or without TimescaleDB.

    Makes what its target makes: on `local` DataDirectory <name>-data and LocalServer <name>-process.
    """

    def __init__(
        self, name: str, settings: ServerSettings, target: Target, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("keelson:index:Server", name, {}, opts)
        self.timescaledb = settings.timescaledb
        self.running = running = target.server(name, self)
        self.reference = running.reference
        self.volume = running.volume
        self.process = running.process
        self.port = running.port
        self.register_outputs({"port": self.port})
