"""Brings one database to the version that its migration files describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pulumi import Output

from keelson import migrations
from keelson.backups.making import BEFORE_MIGRATION, Source
from keelson.endpoint import ADMINISTRATOR, Reference, resolve
from keelson.errors import MigrationError
from keelson.migrations import lint
from keelson.migrations.lint.place import from_input
from keelson.migrations.rows import remembered_rows
from keelson.postgres.databases import grant_schemas
from keelson.postgres.names import RoleNames
from keelson.target import target
from providers.base import Bag, Managed, Provider
from providers.database import is_there


@dataclass(frozen=True)
class SchemaInputs:
    """A database (as its migrator) and the migration files under `directory`, relative to the project."""

    reference: Reference
    service: str
    directory: str
    files: dict[str, str] = field(default_factory=dict)  # name: sha256
    reading: dict[str, Any] = field(default_factory=dict)  # what is unusual of how the files are read
    backup_first: bool = False  # whether a database that has migrations is backed up before others are applied
    backups: str = ""  # where that goes; "": below the user's data directory
    lint: dict[str, Any] = field(default_factory=dict)  # a `Place`, see keelson.migrations.lint.place

    @property
    def location(self) -> migrations.Location:
        """Where the files lie and how they are read."""
        return migrations.Location(Path(self.directory), **self.reading)


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
        """Add the plan (file: what it does and locks) and the names of the files that the last run did not have.

        Raises:
            MigrationError: history was rewritten, a file is no SQL, or the linter finds an error in a pending one.
        """
        known, files = old.get("files", {}), inputs["files"]
        if old and known == files:  # what the last change found stays: another text would write the whole state again
            return inputs | {key: old[key] for key in ("plan", "pending")}
        # Dictionaries lose their order on the way through the engine.
        found = migrations.Location(Path(inputs["directory"]), **inputs.get("reading", {})).read()
        migrations.refuse_changed(found, files)
        _refuse_rewritten_history(inputs["service"], known, found)
        pending = [file for file in found if migrations.is_pending(file, known.get(file.name))]
        earlier = [file for file in found if file.name in known]
        foreseen = lint.foresee(pending, earlier, from_input(inputs.get("lint", {})))
        lint.refuse_errors(inputs["service"], foreseen)
        plan = {name: text for name, text in old.get("plan", {}).items() if name in files}
        plan |= {file.name: migrations.describe(file, seen) for file, seen in zip(pending, foreseen, strict=True)}
        return inputs | {"plan": plan, "pending": ", ".join(file.name for file in pending)}

    def differs(self, state: Bag, new: Bag) -> bool:
        """Compare the files with the ledger."""
        return bool(state.get("ledger", {}) != new["files"])

    def make(self, inputs: SchemaInputs) -> Bag:
        """Apply what is pending; the ledger in the database decides what that is."""
        roles = RoleNames(inputs.service)
        files = inputs.location.read()
        migrations.refuse_changed(files, inputs.files)
        with resolve(inputs.reference).connect() as connection:
            if inputs.backup_first:
                _back_up(inputs, migrations.status(connection, files))
            ledger = migrations.apply(connection, files, owner=roles.owner, out_of_order=inputs.location.out_of_order)
            grant_schemas(connection, inputs.service)
            rows = remembered_rows(connection)
        return {"ledger": ledger, "version": _version_of(files), "pending": "", "rows": rows}

    def look(self, state: Bag) -> Bag | None:
        """Read the ledger; None when the database is gone."""
        reference = Reference(**state["reference"])
        if not is_there(reference):
            return None
        with resolve(reference).connect() as connection:
            return {"ledger": migrations.read_ledger(connection)}


def _version_of(files: Sequence[migrations.MigrationFile]) -> str:
    """Return the last version: its number, or the name of its file where files have no numbers."""
    last = [file for file in files if not file.repeatable][-1:]
    return str(last[0].version or last[0].name) if last else "0"


def _refuse_rewritten_history(service: str, known: dict[str, str], files: Sequence[migrations.MigrationFile]) -> None:
    found = {file.name: file for file in files}
    for name, checksum in known.items():
        if name not in found:
            msg = f"{service}: {name} was applied, but its file is gone; put it back"
            raise MigrationError(msg)
        if checksum not in found[name].hashes and not found[name].repeatable:
            msg = (
                f"{service}: {name} was changed after it was applied; put it back as it was and write a new migration,"
                f" or accept the change by `keelson migrate repair {service}`"
            )
            raise MigrationError(msg)


def _back_up(inputs: SchemaInputs, found: Sequence[migrations.FileStatus]) -> None:
    """Back the database up where migrations were applied to it before, and others follow."""
    states = {item.state for item in found}
    if "applied" not in states or not states & {"pending", "half done"}:
        return
    reference = inputs.reference.to(role=ADMINISTRATOR)
    directory = Path(inputs.backups) if inputs.backups else None
    made = target(reference.target).back_up(Source("postgres", reference), BEFORE_MIGRATION, directory)
    print(f"{inputs.service}: backed up to {made} before it is migrated", flush=True)  # noqa: T201 - the engine shows it


class Schema(Managed, module="keelson", name="Schema"):
    """The migrations of one database; `pending` names those that the last preview found."""

    provider = SchemaProvider
    computed = ("ledger", "version", "plan", "pending", "rows")

    ledger: Output[dict[str, str]]
    version: Output[str]
    plan: Output[dict[str, str]]
    pending: Output[str]
    rows: Output[dict[str, int]]
