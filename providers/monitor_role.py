"""The login with which a server is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keelson.endpoint import Reference, resolve
from keelson.postgres.monitor import MONITOR, drop_monitor, ensure_monitor, has_monitor
from keelson.target import target
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class MonitorRoleInputs:
    """The server, as its administrator, and the stack; another mark says that the passwords were lost."""

    reference: Reference
    stack_id: str
    mark: str = ""


class MonitorRoleProvider(Provider[MonitorRoleInputs]):
    """A login that sees figures and no rows, and its password."""

    inputs = MonitorRoleInputs
    compared: ClassVar = ("stack_id", "mark")

    def identify(self, inputs: MonitorRoleInputs) -> str:
        """Return `server/monitor`."""
        return f"{inputs.reference.server}/{MONITOR}"

    def make(self, inputs: MonitorRoleInputs) -> Bag:
        """Make it, or bring the one that is there to what it may."""
        at = inputs.reference
        password = target(at.target).ensure_password(at.stack, at.server, MONITOR, None)
        with resolve(at).connect() as admin:
            ensure_monitor(admin, inputs.stack_id, password)
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Say whether it is there."""
        with resolve(Reference(**state["reference"])).connect() as admin:
            return state if has_monitor(admin) else None

    def remove(self, state: Bag) -> None:
        """Drop it, if this stack owns it."""
        with resolve(Reference(**state["reference"])).connect() as admin:
            drop_monitor(admin, state["stack_id"])


class MonitorRole(Managed, module="keelson", name="MonitorRole"):
    """The login `monitor` of one server."""

    provider = MonitorRoleProvider
