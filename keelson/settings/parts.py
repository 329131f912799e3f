"""What a stack has beside its PostgreSQL servers: Redis, pgAdmin and the agent."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from keelson.settings.backup import BackupChanges
from keelson.settings.database import Name
from keelson.settings.model import Password, Settings
from keelson.settings.pgadmin import GatewaySettings, IngressSettings, OidcSettings
from keelson.settings.quantities import Quantity

Port = Annotated[int, Field(ge=1024, le=65535)]
Bytes = Annotated[str, Field(pattern=r"^[1-9]\d*(kb|mb|gb)?$")]
RESERVED_PARTS = frozenset({"pgadmin", "agent", "toolbox", "state", "backups", "admin", "ports"})
_UNITS = {"kb": 2**10, "mb": 2**20, "gb": 2**30}

EvictionPolicy = Literal[
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
]


class PartSettings(Settings):
    """A part of the stack: its port, and what it may take of the machine where something can hold it to that (not on local)."""

    port: Port | None = None  # fixed; None: the preferred one or the next that is free
    preferred_port: Port
    memory: Bytes | None = None
    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    storage: Quantity | None = None  # of its volume, on kubernetes


class ReplicatedSettings(PartSettings):
    """A part that may have several instances, of which another one takes over where the first fails, on kubernetes."""

    ha: bool | None = None  # None: as keelson:kubernetes.ha says
    instances: Annotated[int, Field(ge=2, le=9)] | None = None  # None: as keelson:kubernetes.instances says


class RedisSettings(ReplicatedSettings):
    """One Redis server of the stack: its memory, what it evicts, and what its numbered databases are for."""

    preferred_port: Port = 6379
    maxmemory: Bytes = "256mb"
    maxmemory_policy: EvictionPolicy = "allkeys-lru"
    databases: dict[Name, Annotated[int, Field(ge=0, le=15)]] = Field(
        default_factory=lambda: {"general": 0, "cache": 1, "sessions": 2}
    )
    notify_keyspace_events: Annotated[str, Field(pattern=r"^[KEg$lshzxetdmnAo]*$")] = "KEA"
    append_only: bool = True
    tls: bool = True  # False: in clear, for clients that know no TLS
    ssl_min_protocol_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.3"
    passwords: dict[Name, Password] = Field(default_factory=dict)  # by user, for example auth_app or admin
    backup: BackupChanges = BackupChanges()

    @property
    def encryption(self) -> dict[str, str]:
        """What its part is told of TLS: the oldest version that it speaks; nothing where it speaks none."""
        return {"tls": self.ssl_min_protocol_version} if self.tls else {}

    @model_validator(mode="after")
    def _is_not_drilled(self) -> Self:
        if self.backup.drill is not None:
            msg = "backup.drill is for databases; `keelson restore` into another Redis shows that a backup is good"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _numbers_differ(self) -> Self:
        numbers = sorted(self.databases.values())
        if repeated := [number for number, other in itertools.pairwise(numbers) if number == other]:
            msg = f"databases names number {repeated[0]} twice; give each a number of its own"
            raise ValueError(msg)
        return self


def count_bytes(text: str) -> int:
    """Return the number of bytes that a text such as 256mb stands for."""
    return int(text[:-2]) * _UNITS[text[-2:]] if text[-2:] in _UNITS else int(text)


def each_its_own(value: object) -> object:
    """Give each of several Redis that names no databases one of its own name, and the ports from the usual one on."""
    if not isinstance(value, dict) or len(value) < 2:  # noqa: PLR2004
        return value
    return {
        name: {"databases": {name: 0}, "preferred_port": 6379 + place} | part if isinstance(part, dict) else part
        for place, (name, part) in enumerate(value.items())
    }


class PgAdminSettings(PartSettings):
    """pgAdmin: whether the stack has it, who logs in, and where it answers."""

    enabled: bool = True
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] = "admin@keelson.local"
    password: Annotated[SecretStr, Field(min_length=12)] | None = None  # None: a generated one
    preferred_port: Port = 5050
    ingress: IngressSettings | None = None  # of a cluster: an address for everybody
    gateway: GatewaySettings | None = None
    oidc: OidcSettings | None = None

    @property
    def host(self) -> str:
        """By which name everybody reaches it; empty where nobody does."""
        page = self.ingress or self.gateway
        return page.host if page else ""

    @property
    def encrypted(self) -> bool:
        """Whether it is reached there over TLS."""
        return bool(self.gateway or (self.ingress and self.ingress.tls_secret))

    @property
    def proxy(self) -> str:
        """In which namespace the pods are that lead there; empty where it is reached by nobody."""
        if self.gateway:
            return self.gateway.namespace
        return self.ingress.from_namespace if self.ingress else ""

    @property
    def url(self) -> str:
        """Its address there."""
        return f"http{'s' if self.encrypted else ''}://{self.host}/" if self.host else ""


class AgentSettings(PartSettings):
    """The agent, which runs the stack's jobs and serves /health and /metrics."""

    enabled: bool = True
    preferred_port: Port = 9180
