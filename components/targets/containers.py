"""What is the same wherever a part is a container: which settings it is made of, from which image, and what it may take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pulumi import Output, Resource, ResourceOptions

from components.targets import RunningDaemon, RunningServer, pgadmin
from keelson.docker.images.choice import chosen, image_of_server
from keelson.endpoint import Reference
from keelson.settings.auditing import pgaudit_of
from keelson.settings.client_certificates import of_server
from keelson.settings.images import ImageName
from keelson.settings.networks import rules_of
from keelson.settings.stack import Stack


@dataclass(frozen=True)
class Wanted:
    """What a part shall be.

    Attributes:
        name: the part's name in the stack.
        kind: server, redis, pgadmin, agent or an exporter's; cluster for a server of several instances.
        image: what its container is made of.
        settings: plain values that its kind knows, without secrets.
        parent: below which its resources stand.
        passwords: those that the user chose, by login.
        after: what must be there before.
        uses: passwords of others that it is told, where the user chose them: so another one is a change.
    """

    name: str
    kind: str
    image: ImageName
    settings: Mapping[str, Any]
    parent: Resource
    passwords: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[Resource] = ()
    uses: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> dict[str, Output[Mapping[str, str]]]:
        """The passwords as inputs of what writes its files."""
        found = {"passwords": Output.secret(self.passwords)}
        return found | ({"uses": Output.secret(self.uses)} if self.uses else {})


class ContainersTarget(ABC):
    """Servers, Redis and pgAdmin as containers; how one is made is the platform's."""

    _stack: Stack
    _key: str
    _place: str

    def server(self, name: str, parent: Resource) -> RunningServer:
        """Make volume, files and container of a PostgreSQL server."""
        image = image_of_server(self._stack.settings.servers[name].timescaledb)
        volume, process = self._part(self._server(name, parent, "server", image))
        return RunningServer(self._reference(name), volume, process, process.listens_on)

    def _server(
        self, name: str, parent: Resource, kind: str, image: ImageName, more: Mapping[str, Any] | None = None
    ) -> Wanted:
        """Return what a server shall be."""
        settings = self._stack.settings.servers[name]
        known = chosen(self._stack.settings.images, image).pgaudit
        values = {
            "timescaledb": settings.timescaledb,
            **pgaudit_of(self._stack.settings, name, known=known),
            "parameters": self._stack.settings.parameters_of(name),
            "hba": list(rules_of(self._stack, name)),
            **({"certified": certified} if (certified := of_server(self._stack, name)) else {}),
            "version": settings.version,
        }
        return Wanted(name, kind, image, {**values, **(more or {})}, parent)

    def _reference(self, server: str) -> Reference:
        return Reference(stack=self._key, target=self._place, server=server)

    def redis(self, name: str, parent: Resource) -> RunningServer:
        """Make volume, files and container of a Redis."""
        settings = self._stack.settings.redis[name]
        values = settings.model_dump(
            include={"maxmemory", "maxmemory_policy", "databases", "notify_keyspace_events", "append_only"}
        )
        values |= self._stack.settings.encryption_of(name)
        passwords = {user: text.get_secret_value() for user, text in settings.passwords.items()}
        volume, process = self._part(Wanted(name, "redis", "redis", values, parent, passwords))
        reference = Reference(stack=self._key, target=self._place, server=name, database="0", role="admin")
        return RunningServer(reference, volume, process, process.listens_on)

    def pgadmin(
        self, entries: Sequence[Mapping[str, str]], after: Sequence[Resource], parent: Resource
    ) -> RunningDaemon:
        """Make volume, files and container of pgAdmin, which may answer later."""
        values = pgadmin.values(self._stack.settings, entries)
        passwords = pgadmin.passwords(self._stack.settings.pgadmin)
        chosen = self._stack.settings.passwords
        uses = {each["role"]: chosen[each["role"]].get_secret_value() for each in entries if each["role"] in chosen}
        _, process = self._part(Wanted("pgadmin", "pgadmin", "pgadmin", values, parent, passwords, after, uses))
        return RunningDaemon(process, process.listens_on)

    @abstractmethod
    def _part(self, wanted: Wanted) -> tuple[Resource, Any]:
        """Make a part with a volume for its data; return that, and what answers on its port `listens_on`."""


def depending_on(opts: ResourceOptions, resources: Sequence[Resource]) -> ResourceOptions:
    """Return the options of what depends on some resources too."""
    return ResourceOptions.merge(opts, ResourceOptions(depends_on=list(resources)))
