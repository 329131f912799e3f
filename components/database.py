"""One service's database, from its roles to its application's right to connect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pulumi
from pulumi import ComponentResource, Output, Resource, ResourceOptions

from components import rotation
from components.server import Server
from components.targets import Backups, Drills, Target
from keelson import migrations
from keelson.backups.drills.checks import read_checks
from keelson.endpoint import Reference
from keelson.migrations import seeds
from keelson.migrations.lint.place import as_input, place_of
from keelson.migrations.plan import warnings_in
from keelson.postgres.bounds import Bounds
from keelson.postgres.names import RoleNames
from keelson.settings.database import DatabaseDefinition
from keelson.settings.roles import bounds_of
from keelson.settings.stack import Stack
from providers.access import Access
from providers.database import Database
from providers.policies import Policies
from providers.roles import Roles
from providers.schema import Schema
from providers.seeds import Seeds

DIGITS = 12  # of a digest that says that a service's description changed


@dataclass(frozen=True)
class ServicePlace:
    """Where one service's database stands: the stack, its target, its server."""

    stack: Stack
    target: Target
    server: Server

    def directory(self, service: str) -> Path:
        """Return the service's folder, relative to the project."""
        return self.stack.directory(service)


class ServiceDatabase(ComponentResource):
    """One service's database on a server.

    Makes: Roles <name>-roles, Database <name>, Schema <name>-schema, Seeds <name>-seeds, Policies <name>-policies where
    there is a timescale.yaml, Access <name>-access, Rotation <name>-rotation where the settings name it, and its target's jobs
    <name>-backup and <name>-drill.
    """

    def __init__(
        self, name: str, definition: DatabaseDefinition, place: ServicePlace, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("keelson:index:ServiceDatabase", name, {}, opts)
        self._service, self._definition, self._place = name, definition, place
        self.server = place.server
        self.roles = self._roles()
        self.database = self._database()
        self.schema = self._schema()
        self.seeds = self._seeds()
        self.policies = self._policies()
        self.access = self._access()
        self.backup = self._backup()
        self.drill = self._drill()
        self._announce()
        self.register_outputs({"database": name, "version": self.schema.version})

    @property
    def _administrator(self) -> Reference:
        return self._place.server.reference

    @property
    def _migrator(self) -> Reference:
        return self._administrator.to(database=self._service, role=RoleNames(self._service).migrator)

    @property
    def _directory(self) -> Path:
        return self._place.directory(self._service)

    @cached_property
    def _migrations(self) -> dict[str, str]:
        """The service's migrations, {file: sha256}."""
        location = migrations.location_of(self._place.stack, self._service)
        return {file.name: file.sha256 for file in location.read(self._place.stack.root)}

    @cached_property
    def _bounds(self) -> dict[str, Bounds]:
        """What each of the service's logins may take."""
        return bounds_of(self._place.stack, self._service)

    @cached_property
    def _declared(self) -> str:
        """The sha256 of the service's timescale.yaml; empty where it has none."""
        path = self._place.stack.root / self._directory / "timescale.yaml"
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def _roles(self) -> Roles:
        chosen = self._place.stack.settings.passwords
        ours = {*RoleNames(self._service).logins, *self._definition.logins}
        inputs = self._named(self._administrator) | {
            "stack_id": self._place.target.stack_id,
            "logins": self._logins(),
            "limits": {login: bounds.connections for login, bounds in self._bounds.items()},
            **rotation.inputs(self._place.stack.settings, self._service),
            "passwords": Output.secret(
                {role: text.get_secret_value() for role, text in chosen.items() if role in ours}
            ),
            **self._place.target.marks,
        }
        return Roles(f"{self._service}-roles", inputs, self._after(self._place.server.process, retained=True))

    def _database(self) -> Database:
        inputs = {
            "reference": self._administrator.as_input(),
            "stack_id": self._place.target.stack_id,
            "name": self._service,
            "extensions": list(self._definition.extensions) + ["timescaledb"] * self._place.server.timescaledb,
        }
        if directory := self._place.stack.settings.backup.directory:
            inputs["backups"] = str(directory)
        return Database(self._service, inputs, self._after(self.roles, retained=True))

    def _schema(self) -> Schema:
        location = migrations.location_of(self._place.stack, self._service)
        inputs = self._named(self._migrator) | {
            "directory": str(location.directory),
            "files": self._migrations,
            **self._backup_first(),
            "lint": as_input(place_of(self._place.stack, self._service)),
        }
        if location.reading:
            inputs["reading"] = location.reading
        return Schema(f"{self._service}-schema", inputs, self._after(self.database))

    def _backup_first(self) -> dict[str, Any]:
        """Say that a protected stack is backed up before each migration, and where."""
        settings = self._place.stack.settings
        if not settings.protected:
            return {}
        directory = settings.backup.directory
        return {"backup_first": True, **({"backups": str(directory)} if directory else {})}

    def _seeds(self) -> Seeds:
        root, directory = self._place.stack.root, self._directory
        environment = self._place.stack.settings.environment
        folders = self._definition.seed_folders(environment, root / directory)
        files = seeds.read_seeds(root / directory / "seeds", folders, root, environment)
        inputs = self._named(self._migrator) | {
            "directory": str(directory / "seeds"),
            "folders": list(folders),
            "environment": environment,
            "files": {file.name: file.sha256 for file in files},
        }
        return Seeds(f"{self._service}-seeds", inputs, self._after(self.schema))

    def _policies(self) -> Policies | None:
        if not self._declared:
            return None
        path = self._directory / "timescale.yaml"
        inputs = self._named(self._migrator) | {"definition": str(path), "sha256": self._declared}
        return Policies(f"{self._service}-policies", inputs, self._after(self.seeds))

    def _access(self) -> Access:
        inputs = (
            self._named(self._administrator)
            | {"logins": self._logins(), "schema": self._described()}
            | {"bounds": {login: asdict(bounds) for login, bounds in self._bounds.items()}}
        )
        return Access(f"{self._service}-access", inputs, self._after(self.policies or self.seeds))

    def rotate(self, after: Sequence[Resource]) -> None:
        """Let the logins of before end, after all that names the new ones."""
        settings = self._place.stack.settings
        if self._service in settings.rotation:
            self.ends = rotation.end(self._service, self._administrator, settings, self._after(self.roles, *after))

    def _backup(self) -> Resource:
        settings, reference = self._place.stack.backup_of(self._service), self._administrator.to(database=self._service)
        opts = ResourceOptions(parent=self, depends_on=[self.database])  # no part of the volume: deleted by itself
        return self._place.target.backup_job(Backups(self._service, reference, "postgres", settings), opts)

    def _drill(self) -> Resource | None:
        stack = self._place.stack
        settings, reference = stack.backup_of(self._service), self._administrator.to(database=self._service)
        schedule = stack.drills_of(self._service)
        if not schedule:
            return None
        checks = read_checks(stack.root / self._directory / "checks")
        drills = Drills(self._service, reference, schedule, settings, checks)
        return self._place.target.drill_job(drills, ResourceOptions(parent=self, depends_on=[self.database]))

    def _described(self) -> str:
        """Return digits for all that makes the database's catalog."""
        parts = [sorted(self._migrations.items()), self._declared, self._definition.extensions]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:DIGITS]

    def _logins(self) -> dict[str, Any]:
        return self._definition.rights

    def _named(self, reference: Reference) -> dict[str, Any]:
        return {"reference": reference.as_input(), "service": self._service}

    def _after(self, *earlier: Resource, retained: bool = False) -> ResourceOptions:
        """Options of a part that lives on the server's volume; protected stacks keep what is `retained`."""
        return ResourceOptions(
            parent=self,
            depends_on=list(earlier),
            deleted_with=self._place.server.volume,
            retain_on_delete=retained and self._place.stack.settings.protected,
        )

    def _announce(self) -> None:
        """Name what is pending in the plain preview, beside the resource that will do it."""
        if not pulumi.runtime.is_dry_run():
            return
        self.roles.rotated.apply(partial(self._tell, self.roles))
        for part in (self.schema, self.seeds):
            part.pending.apply(partial(self._log, part))
        Output.all(self.schema.plan, self.schema.pending).apply(lambda found: self._warn(*found))

    def _tell(self, part: Resource, text: str | None) -> None:
        if text:
            pulumi.log.info(f"{self._service}: {text}", part)

    def _log(self, part: Schema | Seeds, names: str) -> None:
        if names:
            pulumi.log.info(f"{self._service}: pending {names}", part)

    def _warn(self, plan: Mapping[str, str], names: str) -> None:
        """Say that the linter warns, for each file that is pending."""
        for name in names.split(", ") if names else ():
            if found := warnings_in(plan.get(name, "")):
                step = f"`keelson migrate lint {self._service}` says what to do"
                pulumi.log.warn(f"{self._service}: {name} has {', '.join(found)}; {step}", self.schema)
