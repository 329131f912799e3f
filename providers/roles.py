"""The roles of one service on a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pulumi import Output

from keelson.endpoint import Reference, resolve
from keelson.local.registry import new_password
from keelson.postgres.catalog import has_role
from keelson.postgres.names import RoleNames
from keelson.postgres.roles import ExtraLogin, altered_roles, drop_roles, ensure_roles, further_groups
from keelson.postgres.rotation import keep_open, take_away
from keelson.rotation import FIRST, in_use, set_aside
from keelson.target import target
from providers import rotation, values
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class RolesInputs:
    """The server (as its administrator), the service, and what differs from the usual."""

    reference: Reference
    stack_id: str
    service: str
    logins: dict[str, ExtraLogin] = field(default_factory=dict)
    connection_limit: int = -1  # of states of older releases
    limits: dict[str, int] = field(default_factory=dict)  # login: how many connections it may have
    passwords: dict[str, str] = field(default_factory=dict)  # role: the one that the user chose
    mark: str = ""  # another one where the passwords were lost
    generation: int = FIRST  # which of two logins are in use, see keelson.rotation
    outside: list[str] = field(default_factory=list)  # logins whose passwords come from a store outside


class RolesProvider(Provider[RolesInputs]):
    """Group roles, logins and their passwords; no login can connect before its database is opened."""

    inputs = RolesInputs
    compared: ClassVar = ("logins", "limits", "passwords", "stack_id", "mark", "generation")
    fixed: ClassVar = {
        "reference.server": "a service stays on its server: put the setting back, or dump and restore it"
    }

    def identify(self, inputs: RolesInputs) -> str:
        """Return `server/service/roles`."""
        return f"{inputs.reference.server}/{inputs.service}/roles"

    def examine(self, inputs: Bag, old: Bag) -> Bag:
        """Say which logins come into use, where that changes."""
        return rotation.examine(inputs, old)

    def make(self, inputs: RolesInputs) -> Bag:
        """Make roles that are missing and bring the others to what the inputs say."""
        groups = further_groups(inputs.logins)
        logins = [role for role in (*RoleNames(inputs.service).logins, *inputs.logins) if role not in groups]
        at = inputs.reference
        place = target(at.target)
        passwords = {
            role: place.ensure_password(at.stack, at.server, role, inputs.passwords.get(role)) for role in logins
        }
        turn, coming = place.turn(at.stack, at.server, inputs.service), in_use(inputs.service, inputs.generation)
        with resolve(at).connect() as admin:
            renewed = rotation.fresh(admin, coming, inputs.generation, turn)
            fresh = {login: new_password() for login in renewed if login not in {*inputs.passwords, *inputs.outside}}
            ensure_roles(
                admin,
                inputs.stack_id,
                inputs.service,
                passwords | fresh,
                inputs.logins,
                connection_limit=inputs.connection_limit,
                limits=inputs.limits,
            )
            keep_open(admin, tuple(coming))
            take_away(admin, set_aside(inputs.service, inputs.generation))
        turn = place.hand_out(at.stack, at.server, inputs.service, inputs.generation, fresh)
        return {"since": turn.since, "rotated": ""}

    def differs(self, state: Bag, new: Bag) -> bool:
        """Compare the inputs; what a refresh has found is an update too."""
        return super().differs(state, new) or bool(state.get("altered"))

    def look(self, state: Bag) -> Bag | None:
        """Note the roles that somebody has altered; None where the owner of all is gone."""
        inputs = values.decode(RolesInputs, state)
        service = inputs.service
        with resolve(inputs.reference).connect() as admin:
            if not has_role(admin, RoleNames(service).owner):
                return None
            found = altered_roles(
                admin, service, inputs.logins, connection_limit=inputs.connection_limit, limits=inputs.limits
            )
        altered = ", ".join(found)
        if altered:
            print(f"{service}: altered by hand: {altered}; the next update puts them back", flush=True)  # noqa: T201 - the engine shows it
        return state | {"altered": altered} if altered or "altered" in state else state

    def remove(self, state: Bag) -> None:
        """Drop the roles that this stack owns."""
        reference = Reference(**state["reference"])
        with resolve(reference).connect() as admin:
            drop_roles(admin, state["stack_id"], state["service"])


class Roles(Managed, module="keelson", name="Roles"):
    """The roles of one service; `rotated` says which logins come into use, where that changes."""

    provider = RolesProvider
    computed = ("rotated",)

    rotated: Output[str | None]
