"""The login with which a server's databases are backed up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keelson.endpoint import Reference, resolve
from keelson.postgres import backup_login
from keelson.postgres.catalog import has_role
from keelson.postgres.names import BACKUP
from keelson.target import target
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class BackupLoginInputs:
    """The server, as its administrator, and the stack; another mark says that the passwords were lost."""

    reference: Reference
    stack_id: str
    mark: str = ""


class BackupLoginProvider(Provider[BackupLoginInputs]):
    """A login that reads all rows and changes none, and its password."""

    inputs = BackupLoginInputs
    compared: ClassVar = ("stack_id", "mark")

    def identify(self, inputs: BackupLoginInputs) -> str:
        """Return `server/backup`."""
        return f"{inputs.reference.server}/{BACKUP}"

    def differs(self, state: Bag, new: Bag) -> bool:
        """Compare the inputs; what a refresh has found is an update too."""
        return super().differs(state, new) or bool(state.get("altered"))

    def make(self, inputs: BackupLoginInputs) -> Bag:
        """Make it, or bring the one that is there to what it may."""
        at = inputs.reference
        password = target(at.target).ensure_password(at.stack, at.server, BACKUP, None)
        with resolve(at).connect() as admin:
            backup_login.ensure_backup_login(admin, inputs.stack_id, password)
        return {"altered": ""}

    def look(self, state: Bag) -> Bag | None:
        """Note whether somebody has altered it; None where it is gone."""
        with resolve(Reference(**state["reference"])).connect() as admin:
            if not has_role(admin, BACKUP):
                return None
            return {"altered": "" if backup_login.stands(admin) else BACKUP}

    def remove(self, state: Bag) -> None:
        """Drop it, if this stack owns it."""
        with resolve(Reference(**state["reference"])).connect() as admin:
            backup_login.drop_backup_login(admin, state["stack_id"])


class BackupLogin(Managed, module="keelson", name="BackupLogin"):
    """The login `backup` of one server."""

    provider = BackupLoginProvider
