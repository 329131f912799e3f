"""The end of a service's logins that were in use before, which comes last in an `up`: when all that names logins names the new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg

from keelson.endpoint import Reference, resolve
from keelson.errors import SettingsError
from keelson.postgres import rotation
from keelson.rotation import FIRST, Pair, Turn, in_use, set_aside
from keelson.target import target
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class RotationInputs:
    """The server (as its administrator), the service, which of its logins are in use, and for how many hours the others work on."""

    reference: Reference
    service: str
    generation: int = FIRST
    overlap: int = 0


class RotationProvider(Provider[RotationInputs]):
    """Lets PostgreSQL end the passwords of before; nobody who runs it again after a kill gives them more time."""

    inputs = RotationInputs
    compared: ClassVar = ("generation", "overlap")

    def identify(self, inputs: RotationInputs) -> str:
        """Return `server/service/rotation`."""
        return f"{inputs.reference.server}/{inputs.service}/rotation"

    def differs(self, state: Bag, new: Bag) -> bool:
        """Compare the inputs; an end that a refresh did not find is an update too."""
        return super().differs(state, new) or not state.get("ends")

    def make(self, inputs: RotationInputs) -> Bag:
        """Let the logins end that are not in use."""
        return {"ends": _end(inputs, inputs.generation)}

    def look(self, state: Bag) -> Bag | None:
        """Note whether somebody has taken the end away."""
        logins = set_aside(state["service"], int(state["generation"]))
        with resolve(Reference(**state["reference"])).connect() as admin:
            kept = rotation.bounded(admin, logins) == set(logins)
        return {"ends": state.get("ends", "") if kept else ""}

    def remove(self, state: Bag) -> None:
        """Where the settings no longer say it, the first logins are in use again: let the others end."""
        at, service = Reference(**state["reference"]), state["service"]
        now = target(at.target).turn(at.stack, at.server, service).generation
        _end(RotationInputs(at, service, overlap=int(state["overlap"])), now)


class Rotation(Managed, module="keelson", name="Rotation"):
    """The end of a service's logins that are no longer in use."""

    provider = RotationProvider
    computed = ("ends",)


def _end(inputs: RotationInputs, generation: int) -> str:
    with resolve(inputs.reference).connect() as admin:
        return rotation.end(admin, tuple(set_aside(inputs.service, generation)), inputs.overlap)


def fresh(admin: psycopg.Connection, coming: Pair, generation: int, turn: Turn) -> tuple[str, ...]:
    """Return the logins that need another password before this generation hands them out.

    One that has its password for this generation keeps it, so that a step back leaves clients alone: until it has ended.
    """
    ended = rotation.ended(admin, coming)
    return tuple(login for login in coming if login in ended or turn.made_for(login) != generation)


def examine(inputs: Bag, old: Bag) -> Bag:
    """Return the inputs of a service's roles with `rotated`, which tells people what another generation means.

    Raises:
        SettingsError: it is not the next one, or it would hand out a password that was in use before.
    """
    before, now = _generation(old), _generation(inputs)
    if not old or before == now:
        return inputs | ({"rotated": old["rotated"]} if "rotated" in old else {})
    service = str(inputs["service"])
    if (now - before) % 2 == 0:
        msg = f"keelson:rotation.{service} cannot go from {before} to {now}, which is the same login; go by one"
        raise SettingsError(msg)
    _refuse_used_passwords(inputs, old, now)
    hours = int((old | inputs).get("overlap", 0))
    meanwhile = f"work for {hours} h more" if hours else "end at once"
    return inputs | {"rotated": f"{in_use(service, now)} come into use; {set_aside(service, now)} {meanwhile}"}


def _generation(inputs: Mapping[str, Any]) -> int:
    return int(inputs.get("generation", FIRST))


def _refuse_used_passwords(inputs: Bag, old: Bag, now: int) -> None:
    """Refuse a password that the user chose for a login, and that was in use two generations before."""
    chosen, before = inputs.get("passwords") or {}, old.get("passwords") or {}
    for login in in_use(str(inputs["service"]), now):
        if now > _generation(old) > FIRST and login in chosen and chosen[login] == before.get(login):
            msg = f"keelson:passwords.{login} is the password that {login} had before; set another one, or take it out"
            raise SettingsError(msg)
