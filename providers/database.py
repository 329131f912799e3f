"""One service's database on a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pulumi import Output

from keelson.backups import copies
from keelson.backups.making import BEFORE_DROP, Source
from keelson.endpoint import ADMINISTRATOR, MAINTENANCE_DATABASE, Reference, resolve
from keelson.postgres.catalog import has_database
from keelson.postgres.databases import close_access, drop_database, ensure_database, is_half_dropped
from keelson.postgres.names import RoleNames
from keelson.target import target
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class DatabaseInputs:
    """The server (as its administrator), the database's name and extensions, and what to do when it leaves the settings."""

    reference: Reference
    stack_id: str
    name: str
    extensions: tuple[str, ...] = ()
    backups: str = ""  # where they go; "": below the user's data directory


class DatabaseProvider(Provider[DatabaseInputs]):
    """A database made from template0; taken out of the settings it is closed, backed up, and dropped with its copies."""

    inputs = DatabaseInputs
    compared: ClassVar = ("extensions", "stack_id", "backups")
    fixed: ClassVar = {
        "reference.server": "a database stays on its server: put the setting back, or dump and restore it"
    }

    def identify(self, inputs: DatabaseInputs) -> str:
        """Return `server/database`."""
        return f"{inputs.reference.server}/{inputs.name}"

    def make(self, inputs: DatabaseInputs) -> Bag:
        """Make the database and its extensions."""
        with resolve(inputs.reference).connect() as admin:
            ensure_database(
                admin,
                lambda name: resolve(inputs.reference.to(database=name)).connect(),
                inputs.stack_id,
                inputs.name,
                RoleNames(inputs.name).owner,
                inputs.extensions,
            )
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the database is there."""
        return {} if is_there(Reference(**state["reference"]).to(database=state["name"])) else None

    def remove(self, state: Bag) -> None:
        """Close it to its application, back it up, drop it and its copies; one whose drop was cut off cannot be backed up."""
        reference, name = Reference(**state["reference"]), state["name"]
        with resolve(reference).connect() as admin:
            if has_database(admin, name) and not is_half_dropped(admin, name):
                close_access(admin, state["stack_id"], name)
                source, directory = Source("postgres", reference.to(database=name)), state.get("backups")
                made = target(reference.target).back_up(source, BEFORE_DROP, Path(directory) if directory else None)
                print(f"{name}: backed up to {made} before it is dropped", flush=True)  # noqa: T201 - the engine shows it
            copies.drop_copies(admin, state["stack_id"], name)
            drop_database(admin, state["stack_id"], name)


class Database(Managed, module="keelson", name="Database"):
    """One service's database."""

    provider = DatabaseProvider

    name: Output[str]


def is_there(reference: Reference) -> bool:
    """Say whether the database of `reference` is on its server, asked as the administrator; what is in it goes with it."""
    administrator = reference.to(database=MAINTENANCE_DATABASE, role=ADMINISTRATOR)
    with resolve(administrator).connect() as admin:
        return has_database(admin, reference.database)
