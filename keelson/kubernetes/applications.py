"""What an application in another namespace is given: a Secret with the variables that `keelson env --from cluster` prints."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from keelson.endpoint import Endpoint, Reference, resolve_at
from keelson.entrances import VARIABLES, Entrance
from keelson.errors import SettingsError
from keelson.kubernetes import cluster, names
from keelson.kubernetes.cluster import Cluster
from keelson.postgres.names import RoleNames
from keelson.redis.endpoint import RedisEndpoint
from keelson.redis.users import prefix_of, user_of
from keelson.target import target

AUTHORITY = "ca.crt"  # beside the variables: what servers are verified against
SHOWN, SHOWN_KEY = "client.crt", "client.key"  # and what the login shows, where the service asks for a certificate


@dataclass(frozen=True)
class Application:
    """A service's application.

    Attributes:
        place: the cluster and the stack's namespace.
        key: the stack's key.
        namespace: the application's own.
        service: the database that it uses.
        server: where that lies.
        redis: the Redis databases by name, each with its Redis and its number.
        usual_redis: the name of the one that is meant where none is named.
        entrances: by what else the server is reached.
        login: as whom; empty for the service's first login.
    """

    place: str
    key: str
    namespace: str
    service: str
    server: str
    redis: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    usual_redis: str = ""
    entrances: tuple[Entrance, ...] = ()
    login: str = ""

    @property
    def secret(self) -> str:
        """The Secret's name."""
        return f"{names.of(self.service)}-database"


def give(application: Application) -> None:
    """Write the Secret.

    Raises:
        SettingsError: the namespace is not there, or has another Secret of this name.
        UnreachableError: the stack has no such server or login yet.
    """
    found = cluster.connect(application.place)
    if found.get(f"/api/v1/namespaces/{application.namespace}", metadata=True) is None:
        msg = f"the namespace {application.namespace} of keelson:kubernetes.clients is not in the cluster {found.name}; make it, or take it out"
        raise SettingsError(msg)
    if not _is_ours(found, application):
        msg = (
            f"the Secret {application.secret} in namespace {application.namespace} of the cluster {found.name} is not of stack {application.key}; "
            "remove it if nobody needs it"
        )
        raise SettingsError(msg)
    values = _variables(application)
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": application.secret,
            "labels": names.labels(application.key, "application") | names.told_of(application.key, "application"),
        },
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }
    found.apply(_path(application), body)


def is_given(application: Application) -> bool:
    """Say whether the Secret is there."""
    return cluster.connect(application.place).get(_path(application), metadata=True) is not None


def take_back(application: Application) -> None:
    """Delete the Secret, if it is the stack's; a second time is fine."""
    found = cluster.connect(application.place)
    if _is_ours(found, application):
        found.delete(_path(application))


def _path(application: Application) -> str:
    return f"/api/v1/namespaces/{application.namespace}/secrets/{application.secret}"


def _is_ours(found: Cluster, application: Application) -> bool:
    """Say whether the Secret is the stack's, or nobody's yet."""
    known = found.get(_path(application), metadata=True)
    labels = (known or {"metadata": {}})["metadata"].get("labels") or {}
    return known is None or labels.get(names.STACK_LABEL) == names.stack_label(application.key)


def _variables(application: Application) -> dict[str, str]:
    place, key = target(application.place), application.key
    login = application.login or RoleNames(application.service).app_a
    reference = Reference(
        stack=key, target=application.place, server=application.server, database=application.service, role=login
    )
    endpoint = resolve_at(place.locate_inside(key, application.server), reference)
    others = {
        VARIABLES[each]: resolve_at(place.locate_inside(key, application.server, each), reference).url()
        for each in application.entrances
    }
    user = user_of(application.service)
    urls = {
        name: RedisEndpoint(
            address=place.locate_inside(key, redis),
            number=number,
            user=user,
            password=place.password(key, redis, user),
        ).url()
        for name, (redis, number) in application.redis.items()
    }
    values = replace(endpoint, shown=None).variables() | others | {AUTHORITY: place.authority(key)} | _shown(endpoint)
    if urls:
        values |= {"REDIS_URL": urls[application.usual_redis], "REDIS_KEY_PREFIX": prefix_of(application.service)}
    return values | {f"REDIS_{name.upper()}_URL": url for name, url in urls.items()}


def _shown(endpoint: Endpoint) -> dict[str, str]:
    """Return the files of the certificate that the login shows; the application says where it mounts them (PGSSLCERT, PGSSLKEY)."""
    if endpoint.shown is None:
        return {}
    files = {SHOWN: endpoint.shown.certificate, SHOWN_KEY: endpoint.shown.key}
    return {name: file.read_text(encoding="ascii") for name, file in files.items()}
