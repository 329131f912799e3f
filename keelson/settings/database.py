"""One database's description, read from `sql/<database>/database.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from keelson.errors import SettingsError
from keelson.postgres.admission import Proof
from keelson.settings.backup import BackupChanges
from keelson.settings.document import read_mapping
from keelson.settings.lint import LintRules
from keelson.settings.migrations import MigrationSettings
from keelson.settings.model import Settings
from keelson.settings.networks import Networks
from keelson.settings.roles import LoginBounds, ServiceBounds
from keelson.settings.ways import TableName, Ways, belonging

REFERENCE_SEEDS = "reference"

Privilege = Literal["select", "insert", "update", "delete"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Rights(Settings):
    """Privileges in some schemas, and on single objects."""

    privileges: tuple[Privilege, ...] = ()
    schemas: tuple[Name, ...] = ()
    grants: dict[TableName, Annotated[tuple[Privilege, ...], Field(min_length=1)]] = Field(default_factory=dict)

    @property
    def asked(self) -> set[str]:
        """What it may do anywhere."""
        return set(self.privileges).union(*self.grants.values())


class Group(Rights):
    """A group beside the service's own: it holds privileges for its members."""

    @property
    def rights(self) -> dict[str, Any]:
        """What its members may, as a resource's input."""
        single = {"grants"} if self.grants else set[str]()
        return self.model_dump(mode="json", include={"privileges", "schemas"} | single) | {"is_group": True}


class Login(Rights):
    """A login role beside the service's own: groups that it inherits, or privileges in some schemas."""

    inherits: Literal["app", "readonly"] | None = None
    member_of: tuple[Name, ...] = ()  # groups of the same database.yaml
    bounds: LoginBounds = LoginBounds()

    @property
    def rights(self) -> dict[str, Any]:
        """What it may, as a resource's input."""
        said = {name for name in ("grants", "member_of") if getattr(self, name)}
        return self.model_dump(mode="json", include={"inherits", "privileges", "schemas"} | said)


class DatabaseDefinition(Settings):
    """What database.yaml says."""

    server: Name
    description: str = ""
    extensions: tuple[Name, ...] = ()
    seeds: dict[Literal["dev", "test", "demo", "staging", "prod"], tuple[Name, ...]] = Field(default_factory=dict)
    logins: dict[Name, Login] = Field(default_factory=dict)
    groups: dict[Name, Group] = Field(default_factory=dict)  # of such logins
    connection_limit: Annotated[int, Field(ge=-1)] | None = None  # older name of `connections` of all but the migrator
    bounds: ServiceBounds = ServiceBounds()  # what differs from the stack's
    networks: Networks | None = None  # from where its clients come; None: as the stack says
    client_certificates: dict[Name, Proof] = Field(default_factory=dict)  # of app, readonly, or a further login
    backup: BackupChanges = BackupChanges()
    lint: LintRules = Field(default_factory=dict)  # rules that count otherwise than the stack says
    migrations: MigrationSettings = MigrationSettings()
    audit: tuple[TableName, ...] = ()  # whose changes stand in the audit trail
    tenants: dict[TableName, Ways] = Field(default_factory=dict)  # whose each row is that policies keep from others

    @property
    def rights(self) -> dict[str, dict[str, Any]]:
        """What further logins and groups may, as a resource's input."""
        groups = {name: group.rights for name, group in self.groups.items()}
        return groups | {name: login.rights for name, login in self.logins.items()}

    def kind_of(self, name: str) -> str:
        """By what holds for which kind of login a further one is held where it says nothing itself."""
        login = self.logins[name]
        if login.inherits:
            return login.inherits
        asked = login.asked.union(*(self.groups[group].asked for group in login.member_of))
        return "readonly" if asked <= {"select"} else "app"

    def seed_folders(self, environment: str, directory: Path) -> tuple[str, ...]:
        """Return the folders under seeds/ for `environment`, in order; by default reference data, then its own."""
        chosen = self.seeds.get(environment)  # type: ignore[call-overload]
        if chosen is not None:
            return tuple(chosen)
        return tuple(name for name in (REFERENCE_SEEDS, environment) if (directory / "seeds" / name).is_dir())


def read_database(directory: Path, root: Path) -> DatabaseDefinition:
    """Return the definition in `directory`; `root` is what paths in messages are relative to.

    Raises:
        SettingsError: database.yaml is missing or wrong, or a folder of seeds that it names is missing.
    """
    source = str((directory / "database.yaml").relative_to(root))
    step = f"`keelson service add {directory.name}` makes one"
    values = read_mapping(directory / "database.yaml", source, when_missing=step)
    definition = DatabaseDefinition.read(values, source)
    belonging(definition.tenants, source)
    _refuse_groups(definition, source)
    if foreign := sorted({"dev", "test", "demo", "staging"} & set(definition.seeds.get("prod", ()))):
        msg = (
            f"{source}: the setting 'seeds.prod' names {foreign[0]!r}, whose rows are for that environment; take it out, or rename"
            " the folder if its rows are for every environment"
        )
        raise SettingsError(msg)
    for environment, folders in definition.seeds.items():
        for folder in folders:
            if not (directory / "seeds" / folder).is_dir():
                msg = f"{source}: the setting 'seeds.{environment}' names {folder!r}, but seeds/{folder} is missing; make it"
                raise SettingsError(msg)
    return definition


def _refuse_groups(definition: DatabaseDefinition, source: str) -> None:
    for name, login in definition.logins.items():
        if unknown := sorted({*login.member_of} - {*definition.groups}):
            known = (
                f"known are {', '.join(definition.groups)}" if definition.groups else "there are none: write it there"
            )
            msg = f"{source}: the login {name!r} is in the group {unknown[0]!r}, which 'groups' does not name; {known}"
            raise SettingsError(msg)
    if both := sorted({*definition.groups} & {*definition.logins}):
        msg = f"{source}: 'groups' and 'logins' both name {both[0]!r}; a group lets nobody in, so give one of them another name"
        raise SettingsError(msg)
