"""What a stack file and a database.yaml say of the bounds of logins, and what holds where they say nothing.

The connections that settings name are promises: those of all services of a server fit into it at once. Where they name none there is a
wall, so that one service cannot take all of a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from keelson.postgres.bounds import UNLIMITED, Bounds
from keelson.postgres.names import RoleNames
from keelson.settings.model import Settings
from keelson.settings.networks import Networks

if TYPE_CHECKING:
    from keelson.settings.database import DatabaseDefinition
    from keelson.settings.stack import Stack, StackSettings

CONNECTIONS = 200  # that a server takes where the settings say nothing
KEPT = 10  # of them, for administrators, `up`, backups and the exporter
LEAST = 5  # that a login may have, however small the server
SHARES = {"app": 4, "readonly": 10}  # of all connections: a quarter, a tenth
MIGRATORS = 10
USUAL: dict[str, dict[str, str]] = {
    "app": {
        "statement_timeout": "5min",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "5min",
    },
    "readonly": {
        "statement_timeout": "15min",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "5min",
    },
    "migrator": {
        "statement_timeout": "0",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "10min",
    },
}

Duration = Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,6}(ms|s|min|h|d))$")]
Schema = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]


class LoginBounds(Settings):
    """What differs from the usual for a kind of login, or one login."""

    connections: Annotated[int, Field(ge=UNLIMITED, le=10_000)] | None = None
    search_path: tuple[Schema, ...] | None = None
    statement_timeout: Duration | None = None
    lock_timeout: Duration | None = None
    idle_in_transaction_session_timeout: Duration | None = None
    networks: Networks | None = None  # from where they come

    @property
    def said(self) -> dict[str, Any]:
        """What is set, by name, but for the networks, which no role knows of."""
        return self.model_dump(exclude_none=True, exclude={"networks"})


class ServiceBounds(Settings):
    """The bounds of a service's logins, by what they are for."""

    app: LoginBounds = LoginBounds()
    readonly: LoginBounds = LoginBounds()
    migrator: LoginBounds = LoginBounds()

    def of(self, kind: str) -> LoginBounds:
        """Return those of a kind of login."""
        bounds: LoginBounds = getattr(self, kind)
        return bounds


def bounds_of(stack: Stack, database: str) -> dict[str, Bounds]:
    """Return the bounds of each login of a service."""
    definition, roles = stack.databases[database], RoleNames(database)
    kinds = {kind: _of_kind(stack.settings, definition, kind) for kind in USUAL}
    found = {
        roles.migrator: kinds["migrator"],
        **dict.fromkeys((roles.app_a, roles.app_b), kinds["app"]),
        **dict.fromkeys((roles.readonly_a, roles.readonly_b), kinds["readonly"]),
        **{name: kinds[definition.kind_of(name)] | login.bounds.said for name, login in definition.logins.items()},
    }
    return {login: Bounds(**bounds) for login, bounds in found.items()}


def faults(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> Iterator[str]:
    """Give a sentence for each server whose services were promised more connections than it takes."""
    for server in settings.servers:
        promised = {
            name: promise
            for name, definition in databases.items()
            if definition.server == server and (promise := _promised(settings, definition))
        }
        takes = connections_of(settings, server)
        if takes and promised and sum(promised.values()) > takes - KEPT:
            each = ", ".join(f"{name} {number}" for name, number in promised.items())
            yield (
                f"the services of the server {server} may open {sum(promised.values())} connections at once ({each}), and it has "
                f"{max(0, takes - KEPT)} for them (max_connections is {takes}, {KEPT} are for administrators and backups); lower "
                "'connections' of them, or raise max_connections"
            )


def connections_of(settings: StackSettings, server: str) -> int:
    """Return how many connections a server takes; 0 where the settings say it as nobody here reads it."""
    given = settings.parameters_of(server).get("max_connections", str(CONNECTIONS))
    return int(given) if given.isdecimal() else 0


def _of_kind(settings: StackSettings, definition: DatabaseDefinition, kind: str) -> dict[str, Any]:
    usual = {"connections": _usual_connections(settings, definition.server, kind), **USUAL[kind]}
    return usual | _said(settings, definition, kind)


def _said(settings: StackSettings, definition: DatabaseDefinition, kind: str) -> dict[str, Any]:
    limit = definition.connection_limit
    older = {"connections": limit} if limit is not None and kind != "migrator" else {}
    return settings.bounds.of(kind).said | older | definition.bounds.of(kind).said


def _usual_connections(settings: StackSettings, server: str, kind: str) -> int:
    if kind not in SHARES:
        return MIGRATORS
    share = (connections_of(settings, server) or CONNECTIONS) // SHARES[kind]
    pooler = settings.servers[server].pooler
    return max(LEAST, share, pooler.instances * pooler.pool_size if pooler else 0)


def _promised(settings: StackSettings, definition: DatabaseDefinition) -> int:
    """Return how many connections the settings promise to a service: of two logins that take turns one counts."""
    named = [_said(settings, definition, kind).get("connections", 0) for kind in SHARES]
    own = [login.bounds.connections or 0 for login in definition.logins.values()]
    return sum(number for number in (*named, *own) if number > 0)
