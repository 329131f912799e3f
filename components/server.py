"""A PostgreSQL server of the stack."""

from __future__ import annotations

from pulumi import ComponentResource, ResourceOptions

from components.targets import Target
from keelson.settings.stack import ServerSettings
from providers.backup_login import BackupLogin


class Server(ComponentResource):
    """One PostgreSQL server, with or without TimescaleDB.

    Makes what its target makes: on `local` DataDirectory <name>-data and LocalServer <name>-process; BackupLogin <name>-backup-login.
    """

    def __init__(
        self, name: str, settings: ServerSettings, target: Target, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("keelson:index:Server", name, {}, opts)
        self._server = name
        self.timescaledb = settings.timescaledb
        self.running = running = target.server(name, self)
        self.reference = running.reference
        self.volume = running.volume
        self.process = running.process
        self.port = running.port
        self.backup_login = self._backup_login(target)
        self.register_outputs({"port": self.port})

    def _backup_login(self, target: Target) -> BackupLogin:
        inputs = {"reference": self.reference.as_input(), "stack_id": target.stack_id, **target.marks}
        options = ResourceOptions(parent=self, depends_on=[self.process], deleted_with=self.volume)
        return BackupLogin(f"{self._server}-backup-login", inputs, options)
