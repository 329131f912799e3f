"""Brings one database to the version that its migration files describe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pulumi import Output

from keelson import migrations
from keelson.endpoint import Reference, resolve
from keelson.errors import MigrationError
from keelson.postgres.databases import grant_schemas
from keelson.postgres.names import RoleNames
from providers.base import Bag, Managed, Provider
from providers.database import is_there


@dataclass(frozen=True)
class SchemaInputs:
    """A database (as its migrator) and the migration files under `directory`, relative to the project."""

    reference: Reference
    service: str
    directory: str
    files: dict[str, str] = field(default_factory=dict)  # name: sha256, in order


class SchemaProvider(Provider[SchemaInputs]):
    """One run of all pending migrations; the state holds the ledger, so a preview needs no connection."""

    inputs = SchemaInputs
    compared: ClassVar = ("files",)
    fixed: ClassVar = {
        "reference.server": "a database stays on its server: put the setting back, or dump and restore it"
    }

    def identify(self, inputs: SchemaInputs) -> str:
        """Return `server/database/schema`."""
        return f"{inputs.reference.server}/{inputs.reference.database}/schema"

    def examine(self, inputs: Bag, old: Bag) -> Bag:
        """Add the plan (file: what it does and locks) and the names of the files that the last run did not have."""
        known, files = old.get("files", {}), inputs["files"]
        if old and known == files:  # what the last change found stays: another text would write the whole state again
            return inputs | {key: old[key] for key in ("plan", "pending")}
        _refuse_rewritten_history(inputs["service"], known, files)
        # Dictionaries lose their order on the way through the engine.
        folder = Path(inputs["directory"])
        pending = sorted((migrations.read_file(folder / name) for name in files if name not in known), key=_version)
        plan = {name: text for name, text in old.get("plan", {}).items() if name in files}
        plan |= {file.name: migrations.describe(file) for file in pending}
        return inputs | {"plan": plan, "pending": ", ".join(file.name for file in pending)}

    def differs(self, state: Bag, new: Bag) -> bool:
        """Compare the files with the ledger."""
        return bool(state.get("ledger", {}) != new["files"])

    def make(self, inputs: SchemaInputs) -> Bag:
        """Apply what is pending; the ledger in the database decides what that is."""
        roles = RoleNames(inputs.service)
        files = migrations.read_directory(Path(inputs.directory))
        migrations.refuse_changed(files, inputs.files)
        with resolve(inputs.reference).connect() as connection:
            ledger = migrations.apply(connection, files, owner=roles.owner)
            grant_schemas(connection, inputs.service)
        return {"ledger": ledger, "version": str(max((file.version for file in files), default=0)), "pending": ""}

    def look(self, state: Bag) -> Bag | None:
        """Read the ledger; None when the database is gone."""
        reference = Reference(**state["reference"])
        if not is_there(reference):
            return None
        with resolve(reference).connect() as connection:
            return {"ledger": migrations.read_ledger(connection)}


def _version(file: migrations.MigrationFile) -> int:
    return file.version


def _refuse_rewritten_history(service: str, known: dict[str, str], files: dict[str, str]) -> None:
    for name, checksum in known.items():
        if name not in files:
            msg = f"{service}: {name} was applied, but its file is gone; put it back"
            raise MigrationError(msg)
        if files[name] != checksum:
            msg = f"{service}: {name} was changed after it was applied; put it back as it was and write a new migration"
            raise MigrationError(msg)


class Schema(Managed, module="keelson", name="Schema"):
    """The migrations of one database; `pending` names those that the last preview found."""

    provider = SchemaProvider
    computed = ("ledger", "version", "plan", "pending")

    ledger: Output[dict[str, str]]
    version: Output[str]
    plan: Output[dict[str, str]]
    pending: Output[str]
