"""Servers and daemons as processes of this machine, under supervisor and bubblewrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Output, Resource, ResourceOptions

from components.targets import Backups, Drills, RunningDaemon, RunningServer, archives, jobs, pgadmin
from keelson import fingerprint
from keelson.endpoint import Reference
from keelson.local import root
from keelson.settings.auditing import pgaudit_of
from keelson.settings.client_certificates import of_server
from keelson.settings.networks import rules_of
from keelson.settings.stack import Stack
from providers.backup_job import BackupJob
from providers.data_directory import DataDirectory
from providers.drill_job import DrillJob
from providers.identity import Identity
from providers.local_daemon import LocalDaemon
from providers.local_server import LocalServer
from providers.volume import Volume


class LocalTarget:
    """All parts as supervised processes.

    Makes: Identity <stack>; per server DataDirectory <server>-data and LocalServer <server>-process, and ArchiveJob <server>-archive where it keeps one; per daemon LocalDaemon
    <daemon>-process, and Volume <daemon>-data where it has data; BackupJob <name>-backup for what is backed up.
    """

    name = "local"

    def __init__(self, stack: Stack, parent: Resource) -> None:
        self._stack = stack
        self._identity = Identity(
            stack.name,
            {"key": stack.key, "environment": stack.settings.environment},
            ResourceOptions(parent=parent),
        )
        self.stack_id: Output[str] = self._identity.stack_id
        self.marks: Mapping[str, Output[str]] = {}

    def server(self, name: str, parent: Resource) -> RunningServer:
        """Make the data directory and the supervised process."""
        data = self._data(name, parent)
        process = self._process(name, data, parent)
        if archives.is_archived(self._stack, name):
            archives.archive_job(self._stack, name, ResourceOptions(parent=parent, depends_on=[process]), self.marks)
        return RunningServer(
            Reference(stack=self._stack.key, target=self.name, server=name), data, process, process.listens_on
        )

    def redis(self, name: str, parent: Resource) -> RunningServer:
        """Make the directory and the supervised process."""
        settings = self._stack.settings.redis[name]
        volume = self._volume(name, parent)
        chosen = {user: text.get_secret_value() for user, text in settings.passwords.items()}
        process = self._daemon(
            name,
            {
                "kind": "redis",
                "port": settings.port or 0,
                "preferred_port": settings.preferred_port,
                "settings": settings.model_dump(
                    include={"maxmemory", "maxmemory_policy", "databases", "notify_keyspace_events", "append_only"}
                )
                | self._stack.settings.encryption_of(name),
                "passwords": Output.secret(chosen),
            },
            ResourceOptions(parent=parent, depends_on=[volume]),
        )
        reference = Reference(stack=self._stack.key, target=self.name, server=name, database="0", role="admin")
        return RunningServer(reference, volume, process, process.listens_on)

    def pgadmin(
        self, entries: Sequence[Mapping[str, str]], after: Sequence[Resource], parent: Resource
    ) -> RunningDaemon:
        """Make the directory and the supervised process, which may answer later."""
        settings = self._stack.settings.pgadmin
        process = self._daemon(
            "pgadmin",
            {
                "kind": "pgadmin",
                "port": settings.port or 0,
                "preferred_port": settings.preferred_port,
                "settings": pgadmin.values(self._stack.settings, entries),
                "passwords": Output.secret(pgadmin.passwords(settings)),
            },
            ResourceOptions(parent=parent, depends_on=[self._volume("pgadmin", parent), *after]),
        )
        return RunningDaemon(process, process.listens_on)

    def agent(self, after: Sequence[Resource], parent: Resource) -> RunningDaemon:
        """Make the supervised process."""
        settings = self._stack.settings.agent
        inputs = {
            "kind": "agent",
            "port": settings.port or 0,
            "preferred_port": settings.preferred_port,
            "settings": {"code": fingerprint.of_sources(fingerprint.PACKAGE)},  # another version is started anew
        }
        process = self._daemon("agent", inputs, ResourceOptions(parent=parent, depends_on=list(after)))
        return RunningDaemon(process, process.listens_on)

    def applications(self, after: Sequence[Resource], parent: Resource) -> Sequence[Resource]:  # noqa: ARG002
        """Give nobody anything: `keelson env` does."""
        return ()

    def monitoring(
        self, servers: Mapping[str, RunningServer], redis: Mapping[str, RunningServer], parent: Resource
    ) -> None:
        """Make nothing: the agent serves figures."""

    def backup_job(self, backups: Backups, opts: ResourceOptions) -> BackupJob:
        """Make the job that the agent runs."""
        return jobs.backup_job(backups, opts, self.marks)

    def drill_job(self, drills: Drills, opts: ResourceOptions) -> DrillJob:
        """Make the drill that the agent runs."""
        return jobs.drill_job(drills, opts, self.marks)

    def _volume(self, name: str, parent: Resource) -> Volume:
        protected = self._stack.settings.protected
        return Volume(
            f"{name}-data",
            {"key": self._stack.key, "stack_id": self.stack_id, "name": name},
            ResourceOptions(parent=parent, protect=protected, retain_on_delete=protected),
        )

    def _daemon(self, name: str, inputs: Mapping[str, Any], opts: ResourceOptions) -> LocalDaemon:
        common = {"key": self._stack.key, "stack_id": self.stack_id, "name": name}
        return LocalDaemon(
            f"{name}-process", common | {"avoid_ports": self._stack.settings.ports_of_others(name)} | dict(inputs), opts
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
        return LocalServer(
            f"{name}-process",
            self._common(name)
            | {
                "data": data.location,
                "timescaledb": settings.timescaledb,
                "port": settings.port or 0,
                "preferred_port": settings.preferred_port,
                "avoid_ports": self._stack.settings.ports_of_others(name),
                **pgaudit_of(self._stack.settings, name, known=root.find().has_pgaudit),
                "parameters": self._stack.settings.parameters_of(name),
                "hba": list(rules_of(self._stack, name)),
                **archives.inputs(self._stack, name),
                **({"certified": certified} if (certified := of_server(self._stack, name)) else {}),
                "discarded": not self._stack.settings.protected,
            },
            ResourceOptions(parent=parent),
        )

    def _common(self, name: str) -> dict[str, object]:
        version = self._stack.settings.servers[name].version
        return {"key": self._stack.key, "stack_id": self.stack_id, "server": name, "version": version}
