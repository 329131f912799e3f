"""Loads the seeds of one database for the stack's environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pulumi import Output

from keelson.endpoint import Reference, resolve
from keelson.migrations import seeds
from keelson.postgres.names import RoleNames
from providers.base import Bag, Managed, Provider
from providers.database import is_there


@dataclass(frozen=True)
class SeedsInputs:
    """A database (as its migrator), the folder seeds/ relative to the project, and its files in order."""

    reference: Reference
    service: str
    directory: str
    folders: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)  # folder/name: sha256
    environment: str = ""


class SeedsProvider(Provider[SeedsInputs]):
    """A seed runs once, and again when its text changes; seeds that left the settings leave their rows."""

    inputs = SeedsInputs
    compared: ClassVar = ("files",)

    def identify(self, inputs: SeedsInputs) -> str:
        """Return `server/database/seeds`."""
        return f"{inputs.reference.server}/{inputs.reference.database}/seeds"

    def examine(self, inputs: Bag, old: Bag) -> Bag:
        """Add the names of the files that are new or changed."""
        known = old.get("files", {})
        if old and known == inputs["files"]:  # see SchemaProvider.examine
            return inputs | {"pending": old["pending"]}
        found = seeds.read_seeds(
            Path(inputs["directory"]), inputs["folders"], environment=inputs.get("environment", "")
        )
        seeds.refuse_changed(found, inputs["files"])
        pending = [seed.name for seed in found if known.get(seed.name) not in seed.hashes]
        return inputs | {"pending": ", ".join(pending)}

    def make(self, inputs: SeedsInputs) -> Bag:
        """Run what is new or changed."""
        files = seeds.read_seeds(Path(inputs.directory), inputs.folders, environment=inputs.environment)
        seeds.refuse_changed(files, inputs.files)
        with resolve(inputs.reference).connect() as connection:
            seeds.apply_seeds(connection, files, owner=RoleNames(inputs.service).owner)
        return {"pending": ""}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the database is still there."""
        return state if is_there(Reference(**state["reference"])) else None


class Seeds(Managed, module="keelson", name="Seeds"):
    """The seeds of one database; `pending` names those that the last preview found."""

    provider = SeedsProvider
    computed = ("pending",)

    pending: Output[str]
