"""A stack's settings: the `keelson:` keys of Pulumi.<stack>.yaml, read once."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from keelson.entrances import Entrance
from keelson.errors import SettingsError
from keelson.postgres.names import BACKUP, RoleNames, validate_login_name, validate_service_name
from keelson.rotation import FIRST
from keelson.settings import client_certificates, cluster, limits, pgadmin, point_in_time, roles, rotation
from keelson.settings.backup import WEEK, BackupSettings, spread
from keelson.settings.database import DatabaseDefinition, Name, read_database
from keelson.settings.docker import DockerSettings
from keelson.settings.images import ImagesSettings
from keelson.settings.kubernetes import KubernetesSettings
from keelson.settings.lint import LintRules, Severity
from keelson.settings.model import AbsolutePath, Password, Settings
from keelson.settings.monitoring import EXPORTERS, exporter_of
from keelson.settings.networks import Networks
from keelson.settings.parts import (
    RESERVED_PARTS,
    AgentSettings,
    PartSettings,
    PgAdminSettings,
    Port,
    RedisSettings,
    ReplicatedSettings,
    each_its_own,
)
from keelson.settings.point_in_time import PointInTimeSettings, switched
from keelson.settings.pooler import PoolerSettings
from keelson.settings.quantities import Quantity, count_quantity
from keelson.settings.roles import ServiceBounds
from keelson.settings.rotation import OVERLAP, Days, Generation, Hours

Environment = Literal["dev", "test", "demo", "staging", "prod"]

PUBLISHED_PASSPHRASE = "keelson"  # noqa: S105 - of the dev and docker stack files; it protects nothing (docs/secrets.md)
PROTECTED_ENVIRONMENTS = frozenset({"staging", "prod"})
SQL_DIRECTORY = "sql"
_STACK_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


def _parameter_texts(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {name: _parameter_text(setting) for name, setting in value.items()}


def _parameter_text(value: object) -> object:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, int | float) else value


class ServerSettings(ReplicatedSettings):
    """One PostgreSQL server of the stack."""

    timescaledb: bool = False
    pgaudit: bool | None = None  # None: where the root or image is known to have it
    preferred_port: Port = 5432
    version: str = "17"
    data_directory: AbsolutePath | None = None
    postgres: dict[str, str] = Field(default_factory=dict)
    synchronous: Annotated[int, Field(ge=0, le=8)] | None = None  # None: as keelson:kubernetes.synchronous says
    wal_storage: Quantity | None = None  # None: as keelson:kubernetes.wal_storage says
    pooler: PoolerSettings | None = None
    point_in_time: bool | None = None  # None: as keelson:point_in_time says

    _texts = field_validator("postgres", mode="before")(_parameter_texts)


def _usual_servers() -> dict[str, ServerSettings]:
    return {
        "main": ServerSettings(preferred_port=5432),
        "timescale": ServerSettings(preferred_port=5433, timescaledb=True),
    }


class StackSettings(Settings):
    """What the `keelson:` keys of a stack file say."""

    environment: Environment
    target: Literal["local", "docker", "kubernetes"]
    servers: dict[Name, ServerSettings] = Field(default_factory=_usual_servers)
    databases: tuple[str, ...] | None = None  # None: every folder under sql/
    postgres: dict[str, str] = Field(default_factory=dict)  # for every server
    passwords: dict[Name, Password] = Field(default_factory=dict)
    rotation: dict[Name, Generation] = Field(default_factory=dict)  # of a service: which of its logins is in use
    rotate_after: Days | None = None  # None: when somebody asks for it
    rotate_overlap: Hours = OVERLAP  # that the logins of before work beside the new ones
    redis: dict[Name, RedisSettings] = Field(default_factory=lambda: {"redis": RedisSettings()})
    pgadmin: PgAdminSettings = PgAdminSettings()
    agent: AgentSettings = AgentSettings()
    docker: DockerSettings = DockerSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    networks: Networks | None = None  # from where clients come; None: private ones
    bounds: ServiceBounds = ServiceBounds()  # of every service's logins, which may change parts of it
    lint: LintRules = Field(default_factory=dict)  # rules that count otherwise than usual
    backup: BackupSettings = BackupSettings()  # of every database and Redis, which may change parts of it
    point_in_time: PointInTimeSettings = PointInTimeSettings()  # of every server, which may be left out

    _texts = field_validator("postgres", mode="before")(_parameter_texts)
    _redis = field_validator("redis", mode="before")(each_its_own)
    _switched = field_validator("point_in_time", mode="before")(switched)

    @property
    def protected(self) -> bool:
        """Whether data outlives a careless destroy."""
        return self.environment in PROTECTED_ENVIRONMENTS

    @property
    def images(self) -> ImagesSettings:
        """What containers are made of."""
        return self.kubernetes if self.target == "kubernetes" else self.docker

    @property
    def place(self) -> str:
        """The target as references name it: with the Docker daemon, where that is not the one that docker itself would ask.

        On Kubernetes with the namespace, and with the context where that is not the current one.
        """
        if self.target == "kubernetes":
            context = f"@{self.kubernetes.context}" if self.kubernetes.context else ""
            return f"kubernetes:{self.kubernetes.namespace}{context}"
        return f"docker@{self.docker.context}" if self.target == "docker" and self.docker.context else self.target

    @property
    def parts(self) -> dict[str, str]:
        """The kind of each part that the stack has, by its name, servers first."""
        daemons = {"pgadmin": self.pgadmin.enabled, "agent": self.agent.enabled}
        return {
            **dict.fromkeys(self.servers, "server"),
            **dict.fromkeys(self.redis, "redis"),
            **{name: name for name, enabled in daemons.items() if enabled},
            **self.exporters,
        }

    @property
    def exporters(self) -> dict[str, str]:
        """The kind of each exporter by its name, where there is monitoring; CloudNativePG's servers serve their own figures."""
        if self.target != "kubernetes" or self.kubernetes.monitoring is None:
            return {}
        servers = [name for name in self.servers if self.instances_of(name) == 1]
        watched = dict.fromkeys(servers, "server") | dict.fromkeys(self.redis, "redis")
        return {exporter_of(part): EXPORTERS[kind] for part, kind in watched.items()}

    @property
    def settings_of_parts(self) -> dict[str, PartSettings]:
        """The settings of each part that the stack has or could have, by its name."""
        return {**self.servers, **self.redis, "pgadmin": self.pgadmin, "agent": self.agent}

    def encryption_of(self, redis: str) -> dict[str, str]:
        """Return what the part of a Redis is told of TLS."""
        return self.redis[redis].encryption

    @property
    def asks_outside(self) -> bool:
        """Whether parts of the stack ask what is not of it: a bucket, a webhook, an issuer of logins."""
        return bool(self.backup.ports_outside or (self.pgadmin.enabled and self.pgadmin.oidc))

    def instances_of(self, name: str) -> int:
        """Return how many instances a server or Redis has: 1 where it is not highly available."""
        part = (self.servers | self.redis)[name]
        if self.target != "kubernetes" or not (self.kubernetes.ha if part.ha is None else part.ha):
            return 1
        return part.instances or self.kubernetes.instances

    def entrances_of(self, server: str) -> tuple[Entrance, ...]:
        """Return by what clients come to a PostgreSQL server beside the one that takes writes."""
        if self.instances_of(server) == 1:
            return ()
        return ("replicas", "pooler") if self.servers[server].pooler else ("replicas",)

    def synchronous_of(self, server: str) -> int:
        """Return how many further instances must have what a server has committed."""
        own = self.servers[server].synchronous
        return self.kubernetes.synchronous if own is None else own

    def wal_storage_of(self, server: str) -> str:
        """Return how large the volume is that holds an instance's log, where a server has several."""
        return self.servers[server].wal_storage or self.kubernetes.wal_storage

    def wal_bytes_of(self, server: str) -> int:
        """Return the same in bytes."""
        return count_quantity(self.wal_storage_of(server))

    def generation_of(self, service: str) -> int:
        """Return which generation of a service's logins is in use."""
        return self.rotation.get(service, FIRST)

    def ports_of_others(self, name: str) -> list[int]:
        """Return the ports that the stack's other parts prefer."""
        return [part.preferred_port for other, part in self.settings_of_parts.items() if other != name]

    def parameters_of(self, server: str) -> dict[str, str]:
        """Return the PostgreSQL parameters of `server`: the stack's, then its own."""
        return self.postgres | self.servers[server].postgres


class Stack(Settings):
    """All that the program needs to know: names, settings, and the databases' definitions."""

    project: str
    name: str
    root: Path
    settings: StackSettings
    databases: dict[str, DatabaseDefinition]

    @property
    def key(self) -> str:
        """The name of the stack's directories on a machine."""
        return stack_key(self.project, self.name)

    def backup_of(self, name: str) -> BackupSettings:
        """Return when the database or Redis `name` is backed up and how long backups are kept."""
        part = self.databases.get(name) or self.settings.redis[name]
        settings = self.settings.backup.changed(part.backup)
        said = self.settings.backup.model_fields_set | part.backup.model_fields_set
        if self.settings.target != "kubernetes" or "schedule" in said:  # an agent begins one after the other
            return settings
        return settings.model_copy(update={"schedule": spread(name)})

    def drills_of(self, name: str) -> str:
        """Return when the backups of the database `name` are drilled, as five fields; nothing where they are not."""
        settings = self.backup_of(name)
        if self.settings.target == "kubernetes" and settings.is_drilled_weekly(self.settings.environment):
            return spread(name, WEEK)
        return settings.drill_schedule(self.settings.environment)

    def lint_of(self, database: str) -> dict[str, Severity]:
        """Return how much the linter's rules count for a database, where that is other than usual."""
        return self.settings.lint | self.databases[database].lint

    def directory(self, database: str) -> Path:
        """Return the folder of `database`, relative to the project."""
        return Path(SQL_DIRECTORY) / database


def stack_key(project: str, stack: str) -> str:
    """Return the key of `stack`; a name that the engine qualified with its organisation counts by its last part."""
    return f"{project}-{stack.rsplit('/', 1)[-1]}"


def read_stack(config: Mapping[str, str], project: str, name: str, root: Path) -> Stack:
    """Return the stack that `config` describes; keys are qualified (`keelson:target`), objects are JSON texts.

    Raises:
        SettingsError: a key is unknown, missing or wrong, two parts contradict each other, or a protected stack would be
            encrypted with the published passphrase.
        IdentifierError: a database's name is not allowed.
    """
    source = f"Pulumi.{name}.yaml"
    if not _STACK_NAME.match(name):
        msg = f"the stack's name {name!r} is not allowed; use letters, digits, '.', '_' and '-'"
        raise SettingsError(msg)
    prefix = f"{project}:"
    values = {key.removeprefix(prefix): _value(text) for key, text in config.items() if key.startswith(prefix)}
    settings = StackSettings.read(values, source, prefix)
    _refuse_published_passphrase(settings, source)
    settings = _with_namespace(settings, stack_key(project, name))
    databases = {}
    for database in _names(settings, root, source):
        validate_service_name(database)
        databases[database] = read_database(root / SQL_DIRECTORY / database, root)
    for database, definition in databases.items():
        _check_server(database, definition, settings, root)
    _refuse_shared_logins(databases)
    _refuse_shared_directories(settings, source)
    _refuse_shared_names(settings, databases, source)
    _refuse_of_other_targets(settings, source)
    _refuse_rotation(settings, databases, source)
    _refuse_in_a_cluster(settings, databases, source)
    _refuse_too_many_connections(settings, databases, source)
    _refuse_certificates(settings, databases)
    return Stack(project=project, name=name, root=root, settings=settings, databases=databases)


def _with_namespace(settings: StackSettings, key: str) -> StackSettings:
    """Return the settings with the namespace that a stack of this key has where they name none."""
    if settings.target != "kubernetes" or settings.kubernetes.namespace:
        return settings
    usual = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    kubernetes = settings.kubernetes.model_copy(update={"namespace": usual[:63].rstrip("-")})
    return settings.model_copy(update={"kubernetes": kubernetes})


def _refuse_published_passphrase(settings: StackSettings, source: str) -> None:
    if settings.protected and os.environ.get("PULUMI_CONFIG_PASSPHRASE") == PUBLISHED_PASSPHRASE:
        msg = (
            f"{source}: the environment {settings.environment} is protected, and PULUMI_CONFIG_PASSPHRASE holds the passphrase "
            "that everybody knows; set one of the stack's own, or unset it where a key service encrypts (docs/secrets.md)"
        )
        raise SettingsError(msg)


def _value(text: str) -> Any:  # noqa: ANN401 - whatever the stack file holds
    """Return an object that the engine hands over as JSON, or the text itself."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def database_folders(root: Path) -> list[str]:
    """Return the databases that a project has: the folders under sql/."""
    folder = root / SQL_DIRECTORY
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _names(settings: StackSettings, root: Path, source: str) -> list[str]:
    if settings.databases is None:
        return database_folders(root)
    if repeated := sorted({name for name in settings.databases if settings.databases.count(name) > 1}):
        msg = f"{source}: the setting 'keelson:databases' names {repeated[0]!r} twice; take one out"
        raise SettingsError(msg)
    return list(settings.databases)


def _check_server(database: str, definition: DatabaseDefinition, settings: StackSettings, root: Path) -> None:
    folder = f"{SQL_DIRECTORY}/{database}"
    if definition.server not in settings.servers:
        known = ", ".join(sorted(settings.servers))
        msg = f"{folder}/database.yaml: the setting 'server' names {definition.server!r}, but the stack has {known}"
        raise SettingsError(msg)
    if (root / folder / "timescale.yaml").exists() and not settings.servers[definition.server].timescaledb:
        msg = (
            f"{folder}/timescale.yaml: the server {definition.server} of {folder}/database.yaml has no TimescaleDB; "
            "name one that has, or take the file away"
        )
        raise SettingsError(msg)


def _refuse_shared_logins(databases: Mapping[str, DatabaseDefinition]) -> None:
    owners = {
        (definition.server, role): database
        for database, definition in databases.items()
        for role in (*RoleNames(database).groups, *RoleNames(database).logins)
    } | {(definition.server, BACKUP): "the backup" for definition in databases.values()}
    for database, definition in databases.items():
        named = [*(("login", login) for login in definition.logins), *(("group", group) for group in definition.groups)]
        for kind, role in named:
            validate_login_name(role, database)
            first = owners.setdefault((definition.server, role), database)
            if first != database:
                msg = (
                    f"{SQL_DIRECTORY}/{database}/database.yaml: the {kind} {role!r} of '{kind}s' is {first}'s already; "
                    f"a {kind} belongs to one service, so choose another name"
                )
                raise SettingsError(msg)


def _refuse_shared_directories(settings: StackSettings, source: str) -> None:
    places = sorted((server.data_directory, name) for name, server in settings.servers.items() if server.data_directory)
    for (outer, first), (inner, second) in itertools.pairwise(places):
        if inner.is_relative_to(outer):
            msg = (
                f"{source}: the setting 'keelson:servers.{second}.data_directory' lies in that of the server {first}; "
                "give each server a directory of its own"
            )
            raise SettingsError(msg)


def _refuse_shared_names(settings: StackSettings, databases: Collection[str], source: str) -> None:
    """Refuse a Redis that is named like another part, or like a database, whose backups would lie in one directory."""
    for name in settings.redis:
        if name in RESERVED_PARTS or name in settings.servers or name in databases:
            msg = f"{source}: the setting 'keelson:redis.{name}' has the name of another part; choose another name"
            raise SettingsError(msg)
    for name in settings.servers:
        if name in RESERVED_PARTS:
            msg = f"{source}: the setting 'keelson:servers.{name}' has the name of another part; choose another name"
            raise SettingsError(msg)
    named = [database for redis in settings.redis.values() for database in redis.databases]
    if repeated := sorted({name for name in named if named.count(name) > 1}):
        msg = f"{source}: two of 'keelson:redis' have a database {repeated[0]!r}; let one have it"
        raise SettingsError(msg)


def _refuse_of_other_targets(settings: StackSettings, source: str) -> None:
    """Refuse what the stack's target could not hold to."""
    if fault := next(_faults_elsewhere(settings), None):
        msg = f"{source}: {fault}"
        raise SettingsError(msg)


def _refuse_rotation(settings: StackSettings, databases: Collection[str], source: str) -> None:
    if fault := next(rotation.faults(settings, databases), None):
        msg = f"{source}: {fault}"
        raise SettingsError(msg)


def _faults_elsewhere(settings: StackSettings) -> Iterator[str]:
    """Give a sentence for each setting that only another target could hold to."""
    yield from pgadmin.faults(settings)
    yield from point_in_time.faults(settings)
    target = settings.target
    parts, replicated = settings.settings_of_parts.items(), (settings.servers | settings.redis).items()
    if target == "local":
        limited = (name for name, part in parts if part.memory or part.cpus)
        yield from (
            f"'memory' and 'cpus' of {name} need the target docker or kubernetes; take them out for local"
            for name in limited
        )
    if target != "kubernetes":
        sized = (name for name, part in parts if part.storage)
        yield from (f"'storage' of {name} needs the target kubernetes; take it out for {target}" for name in sized)
        several = (name for name, part in replicated if part.ha or part.instances)
        logged = (
            name for name, server in settings.servers.items() if server.wal_storage or server.synchronous is not None
        )
        yield from (
            f"'ha' and 'instances' of {name} need the target kubernetes; take them out for {target}" for name in several
        )
        yield from (
            f"'wal_storage' and 'synchronous' of {name} need the target kubernetes; take them out for {target}"
            for name in logged
        )
        pooled = (name for name, server in settings.servers.items() if server.pooler)
        yield from (f"'pooler' of {name} needs the target kubernetes; take it out for {target}" for name in pooled)
    if target == "docker":
        yield from limits.faults(settings)
    if target != "local" and settings.backup.bucket and settings.backup.bucket.ca_file:
        yield (
            f"the setting 'keelson:backup.bucket.ca_file' is for the target local, as no container sees that file; take it out for {target}"
        )
    if target != "local":
        placed = (name for name, server in settings.servers.items() if server.data_directory)
        yield from (
            f"the setting 'keelson:servers.{name}.data_directory' is for the target local; take it out"
            for name in placed
        )


def _refuse_in_a_cluster(settings: StackSettings, databases: Mapping[str, DatabaseDefinition], source: str) -> None:
    if settings.target == "kubernetes" and (fault := next(cluster.faults(settings, databases), None)):
        msg = f"{source}: {fault}"
        raise SettingsError(msg)


def _refuse_too_many_connections(
    settings: StackSettings, databases: Mapping[str, DatabaseDefinition], source: str
) -> None:
    if fault := next(roles.faults(settings, databases), None):
        msg = f"{source}: {fault}"
        raise SettingsError(msg)


def _refuse_certificates(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> None:
    if fault := next(client_certificates.faults(settings, databases), None):
        raise SettingsError(fault)
