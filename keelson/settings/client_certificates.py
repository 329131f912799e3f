"""Which logins of a service show a certificate, by `client_certificates` of its database.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from keelson.postgres.names import RoleNames

if TYPE_CHECKING:
    from keelson.postgres.admission import Proof
    from keelson.settings.database import DatabaseDefinition
    from keelson.settings.stack import Stack, StackSettings


def of_service(service: str, definition: DatabaseDefinition) -> dict[str, Proof]:
    """Return how each login of a service that shows a certificate proves who it is."""
    roles = RoleNames(service)
    kinds = {"app": (roles.app_a, roles.app_b), "readonly": (roles.readonly_a, roles.readonly_b)}
    return {
        login: proof for name, proof in definition.client_certificates.items() for login in kinds.get(name, (name,))
    }


def of_server(stack: Stack, server: str) -> list[str]:
    """Return the logins of a server that show a certificate."""
    here = [(name, each) for name, each in stack.databases.items() if each.server == server]
    return sorted(login for name, definition in here for login in of_service(name, definition))


def faults(settings: StackSettings, databases: Mapping[str, DatabaseDefinition]) -> Iterator[str]:
    """Give a sentence for each that cannot be, with where it stands."""
    for service, definition in databases.items():
        where = f"sql/{service}/database.yaml: the setting 'client_certificates'"
        several = definition.server in settings.servers and settings.instances_of(definition.server) > 1
        if definition.client_certificates and several:
            yield f"{where} is for servers of one instance: those of {definition.server} trust their operator's authority; take it out"
        if foreign := sorted({*definition.client_certificates} - {"app", "readonly", *definition.logins}):
            known = ", ".join(["app", "readonly", *definition.logins])
            yield f"{where} names {foreign[0]!r}, which is no login of applications; write one of {known}"
        if "readonly" in definition.client_certificates and settings.pgadmin.enabled:
            yield f"{where} names readonly, as which pgAdmin logs in without a certificate; take it out, or disable keelson:pgadmin"
