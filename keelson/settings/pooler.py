"""What a stack file says of a server's pooler, which shares few connections to the server among many clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from keelson.kubernetes import names
from keelson.settings.model import Settings
from keelson.settings.roles import connections_of

if TYPE_CHECKING:
    from keelson.settings.stack import StackSettings

MEMORY = 128  # MiB that both programs of a pod take
CLIENTS = 8  # that one more holds, encrypted


class PoolerSettings(Settings):
    """A server's pooler: its pods, and how many connections each of them shares among how many clients."""

    mode: Literal["transaction", "session"] = "transaction"
    instances: Annotated[int, Field(ge=1, le=20)] = 2
    pool_size: Annotated[int, Field(ge=1, le=1000)] = 20  # of each service, by each pod
    max_client_conn: Annotated[int, Field(ge=1, le=50_000)] = 1000  # of all services, to each pod

    @property
    def memory(self) -> int:
        """How many megabytes a pod may take."""
        return MEMORY + self.max_client_conn // CLIENTS


def faults(settings: StackSettings) -> Iterator[str]:
    """Give a sentence for each pooler that cannot be."""
    parts = {names.of(name): name for name in (*settings.servers, *settings.redis)}
    for name, server in settings.servers.items():
        if server.pooler is None:
            continue
        if settings.instances_of(name) == 1:
            yield f"'pooler' of {name} is for a server of several instances; set 'ha' of it too, or take it out"
        if other := parts.get(names.pooler(name)):
            yield f"{other} is called as the pooler of {name}; choose another name"
        opened, takes = server.pooler.instances * server.pooler.pool_size, connections_of(settings, name)
        if takes and opened > takes:
            yield (
                f"'pooler' of {name} opens up to {opened} connections for one service (instances times pool_size), and max_connections is "
                f"{takes}; lower 'pool_size', or raise max_connections"
            )
