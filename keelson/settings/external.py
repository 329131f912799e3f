"""Passwords that are kept in a store outside of the cluster, from which the External Secrets Operator brings them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from keelson.postgres.names import RoleNames
from keelson.settings.database import DatabaseDefinition, Name
from keelson.settings.model import Settings

if TYPE_CHECKING:
    from keelson.settings.stack import StackSettings


class RemotePassword(Settings):
    """Where one password lies in the store."""

    key: Annotated[str, Field(min_length=1)]
    property: Annotated[str, Field(min_length=1)] | None = None


class ExternalSecretsSettings(Settings):
    """The store, as a SecretStore of the namespace or a ClusterSecretStore, and what of it is the password of which login."""

    store: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
    kind: Literal["SecretStore", "ClusterSecretStore"] = "SecretStore"
    refresh: Annotated[str, Field(pattern=r"^([1-9]\d*h)?([1-9]\d*m)?([1-9]\d*s)?$", min_length=1)] = "1h"
    passwords: Annotated[dict[Name, RemotePassword], Field(min_length=1)]


def servers_of(login: str, databases: Mapping[str, DatabaseDefinition]) -> list[str]:
    """Return the servers that have a login."""
    return sorted(
        {
            definition.server
            for name, definition in databases.items()
            if login in RoleNames(name).logins or login in definition.logins
        }
    )


def faults(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> Iterator[str]:
    """Give a sentence for each password that cannot come from the store."""
    external = settings.kubernetes.external_secrets
    for login in external.passwords if external else ():
        key = f"the setting 'keelson:kubernetes.external_secrets.passwords.{login}'"
        if not servers_of(login, databases):
            yield f"{key} names no login of the stack's services; write one such as auth_app_a, or take it out"
        if login in settings.passwords:
            yield f"{key} and 'keelson:passwords.{login}' exclude each other; take one out"
