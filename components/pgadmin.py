"""pgAdmin, with every server and database of the stack in its list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pulumi import ComponentResource, Resource, ResourceOptions

from components.targets import Target
from keelson.rotation import in_use
from keelson.settings.stack import Stack


class PgAdmin(ComponentResource):
    """pgAdmin for the stack.

    Makes what its target makes: on `local` Volume pgadmin-data and LocalDaemon pgadmin-process.
    """

    def __init__(
        self, stack: Stack, target: Target, after: Sequence[Resource], opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("keelson:index:PgAdmin", "pgadmin", {}, opts)
        running = target.pgadmin(entries(stack), after, self)
        self.process = running.process
        self.port = running.port
        self.register_outputs({"port": self.port})


def entries(stack: Stack) -> list[Mapping[str, str]]:
    """Return the list that pgAdmin shows: a group for each server, and in it what may be opened, as which role.

    A service's database is opened as its reader. The server itself, as its administrator, only where nothing is protected.
    """
    found: list[Mapping[str, str]] = []
    for server in stack.settings.servers:
        if not stack.settings.protected:
            found.append({"group": server, "name": f"{server} (administrator)", "server": server, "role": "postgres"})
        found += [
            {"group": server, "name": name, "server": server, "database": name, "role": _reader(stack, name)}
            for name, database in stack.databases.items()
            if database.server == server
        ]
    return found


def _reader(stack: Stack, service: str) -> str:
    return in_use(service, stack.settings.generation_of(service)).readonly
