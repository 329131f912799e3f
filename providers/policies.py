"""What TimescaleDB does by itself in one database: compression, aggregates, retention."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pulumi import Output

from keelson import timescale
from keelson.endpoint import Reference, resolve
from keelson.postgres.catalog import timescale_edition
from keelson.postgres.databases import grant_schemas
from keelson.postgres.names import RoleNames
from providers.base import Bag, Managed, Provider
from providers.database import is_there


@dataclass(frozen=True)
class PoliciesInputs:
    """A database (as its migrator), its timescale.yaml relative to the project, and that file's sha256."""

    reference: Reference
    service: str
    definition: str
    sha256: str


class PoliciesProvider(Provider[PoliciesInputs]):
    """Declared once; on the Apache edition done by other means, and what that edition lacks is reported."""

    inputs = PoliciesInputs
    compared: ClassVar = ("sha256",)

    def identify(self, inputs: PoliciesInputs) -> str:
        """Return `server/database/timescale`."""
        return f"{inputs.reference.server}/{inputs.reference.database}/timescale"

    def examine(self, inputs: Bag, old: Bag) -> Bag:  # noqa: ARG002
        """Refuse a definition that cannot be read."""
        timescale.read_definition(Path(inputs["definition"]))
        return inputs

    def make(self, inputs: PoliciesInputs) -> Bag:
        """Bring the database to the definition."""
        definition = timescale.read_definition(Path(inputs.definition))
        owner = RoleNames(inputs.service).owner
        with resolve(inputs.reference).connect() as connection:
            report = timescale.apply_policies(connection, definition, owner=owner)
            grant_schemas(connection, inputs.service)
        _tell_left(inputs.service, report.left)
        return {"edition": report.edition, "substituted": list(report.substituted), "lacking": list(report.lacking)}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the database is still there."""
        return state if is_there(Reference(**state["reference"])) else None

    def remove(self, state: Bag) -> None:
        """End all policies; aggregates stay."""
        reference = Reference(**state["reference"])
        if not is_there(reference):
            return
        nothing = timescale.Definition(state["definition"], {}, {})
        with resolve(reference).connect() as connection:
            if timescale_edition(connection) is None:
                return
            report = timescale.apply_policies(connection, nothing, owner=RoleNames(state["service"]).owner)
        _tell_left(state["service"], report.left)


def _tell_left(service: str, names: tuple[str, ...]) -> None:
    for name in names:
        print(f"{service}: {name} is declared no longer and stays; drop it in a migration", flush=True)  # noqa: T201 - the engine shows it


class Policies(Managed, module="keelson", name="Policies"):
    """The TimescaleDB policies of one database; `lacking` says what the server's edition cannot do."""

    provider = PoliciesProvider
    computed = ("edition", "substituted", "lacking")

    edition: Output[str]
    substituted: Output[list[str]]
    lacking: Output[list[str]]
