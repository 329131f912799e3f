"""A whole stack: its servers, a database for every service, Redis, pgAdmin and the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi import ComponentResource, Output, Resource, ResourceOptions

from components.agent import Agent
from components.database import ServiceDatabase, ServicePlace
from components.pgadmin import PgAdmin
from components.redis import Redis
from components.server import Server
from components.targets import RunningServer, target_for
from keelson import fingerprint
from keelson.settings.stack import Stack


class Platform(ComponentResource):
    """All parts of a stack.

    Makes: Identity <stack>, a Server for each server of the settings, a ServiceDatabase for each database, a Redis for each
    one of the settings, a PgAdmin and an Agent unless the settings leave them out.
    """

    def __init__(self, stack: Stack, opts: ResourceOptions | None = None) -> None:
        super().__init__("keelson:index:Platform", stack.name, {}, opts)
        self._target = target_for(stack, self)
        self.servers = {name: self._server(stack, name) for name in stack.settings.servers}
        self.databases = {name: self._database(stack, name) for name in stack.databases}
        self.redis = {name: self._redis(stack, name) for name in stack.settings.redis}
        self.agent = self._agent(stack)
        self.pgadmin = self._pgadmin(stack)
        self._rotate(self._target.applications(self._opened, self))
        self._target.monitoring(_running(self.servers), _running(self.redis), self)
        self.register_outputs({"endpoints": self.endpoints})

    @property
    def endpoints(self) -> dict[str, Any]:
        """Where each server answers, and what it holds; no password."""
        return {
            name: {"port": server.port, "databases": self._databases_on(server)}
            for name, server in self.servers.items()
        } | {name: {"port": part.port} for name, part in self._daemons.items()}

    @property
    def versions(self) -> dict[str, Output[str]]:
        """The schema version of each database."""
        return {name: database.schema.version for name, database in self.databases.items()}

    @property
    def _daemons(self) -> dict[str, Redis | PgAdmin | Agent]:
        found: dict[str, Redis | PgAdmin | Agent | None] = {**self.redis, "pgadmin": self.pgadmin, "agent": self.agent}
        return {name: part for name, part in found.items() if part}

    def _databases_on(self, server: Server) -> list[str]:
        return [name for name, database in self.databases.items() if database.server is server]

    def _server(self, stack: Stack, name: str) -> Server:
        return Server(name, stack.settings.servers[name], self._target, ResourceOptions(parent=self))

    def _database(self, stack: Stack, name: str) -> ServiceDatabase:
        definition = stack.databases[name]
        server = self.servers[definition.server]
        place = ServicePlace(stack, self._target, server)
        return ServiceDatabase(name, definition, place, ResourceOptions(parent=server))

    def _redis(self, stack: Stack, name: str) -> Redis:
        return Redis(name, stack, self._target, ResourceOptions(parent=self))

    def _agent(self, stack: Stack) -> Agent | None:
        return Agent(self._target, self._opened, ResourceOptions(parent=self)) if stack.settings.agent.enabled else None

    def _pgadmin(self, stack: Stack) -> PgAdmin | None:
        if not stack.settings.pgadmin.enabled:
            return None
        return PgAdmin(stack, self._target, self._opened, ResourceOptions(parent=self))

    def _rotate(self, applications: Sequence[Resource]) -> None:
        """Have the logins of before end when all that names logins has been made."""
        named = [*self._opened, *applications, *([self.pgadmin.process] if self.pgadmin else [])]
        for database in self.databases.values():
            database.rotate(named)

    @property
    def _opened(self) -> list[Resource]:
        """What must be done before pgAdmin and the agent look at the stack."""
        return [database.access for database in self.databases.values()] + [
            redis.users for redis in self.redis.values()
        ]


def _running(parts: Mapping[str, Server | Redis]) -> dict[str, RunningServer]:
    return {name: part.running for name, part in parts.items()}


def program() -> str:
    """Return what stands for the program: an output, so that another one is a change even where every resource is the same.

    Some of what the engine keeps of a resource (what it depends on, what it is deleted with) shows in no preview.
    """
    here = Path(__file__).parent
    return fingerprint.of_sources(here, here.parent / "providers")
