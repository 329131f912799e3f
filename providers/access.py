"""Opens one database to its application, when its migrations are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from keelson.endpoint import Reference, resolve
from keelson.postgres.databases import open_access
from keelson.postgres.roles import ExtraLogin
from providers.base import Bag, Managed, Provider
from providers.database import is_there


@dataclass(frozen=True)
class AccessInputs:
    """The server (as its administrator), the service, and its further logins."""

    reference: Reference
    service: str
    logins: dict[str, ExtraLogin] = field(default_factory=dict)
    schema: str = ""  # what the grants are renewed for: a digest of migrations and policies


class AccessProvider(Provider[AccessInputs]):
    """CONNECT for the application's and the readers' roles; it goes with the database."""

    inputs = AccessInputs
    compared: ClassVar = ("logins", "schema")

    def identify(self, inputs: AccessInputs) -> str:
        """Return `server/database/access`."""
        return f"{inputs.reference.server}/{inputs.service}/access"

    def make(self, inputs: AccessInputs) -> Bag:
        """Grant."""
        with resolve(inputs.reference.to(database=inputs.service)).connect() as admin:
            open_access(admin, inputs.service, inputs.logins)
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the database is still there."""
        return state if is_there(Reference(**state["reference"]).to(database=state["service"])) else None


class Access(Managed, module="keelson", name="Access"):
    """The application's right to connect to one database."""

    provider = AccessProvider
