"""Opens one database to its application, when its migrations are done, and remembers what its catalog is like then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import psycopg

from keelson.endpoint import Reference, resolve
from keelson.postgres import snapshot
from keelson.postgres.bounds import Bounds, altered_settings
from keelson.postgres.databases import open_access
from keelson.postgres.roles import ExtraLogin
from providers import values
from providers.base import Bag, Managed, Provider
from providers.database import is_there


@dataclass(frozen=True)
class AccessInputs:
    """The server (as its administrator), the service, and its further logins."""

    reference: Reference
    service: str
    logins: dict[str, ExtraLogin] = field(default_factory=dict)
    bounds: dict[str, Bounds] = field(default_factory=dict)  # login: what it may take
    schema: str = ""  # what the grants are renewed for: digits for migrations, policies and extensions


class AccessProvider(Provider[AccessInputs]):
    """CONNECT for the application's and the readers' roles; it goes with the database.

    Being the last that an `up` does to a database, it keeps digits for each group of its catalog's facts (`catalog`). A
    refresh compares them and notes the groups that somebody has changed since (`drift`); an update then grants again what
    is to be granted, and says what differs still, as long as it does.
    """

    inputs = AccessInputs
    compared: ClassVar = ("logins", "bounds", "schema")

    def identify(self, inputs: AccessInputs) -> str:
        """Return `server/database/access`."""
        return f"{inputs.reference.server}/{inputs.service}/access"

    def differs(self, state: Bag, new: Bag) -> bool:
        """Compare the inputs; what a refresh has found, and digits of another release, are an update too."""
        return (
            super().differs(state, new) or bool(state.get("drift") or state.get("altered")) or not _is_remembered(state)
        )

    def make(self, inputs: AccessInputs) -> Bag:
        """Grant, and remember the catalog."""
        return {"catalog": _open(inputs), "drift": "", "altered": ""}

    def change(self, inputs: AccessInputs, state: Bag) -> Bag:
        """Grant again; what differs from the catalog of before, though nothing has asked for that, is told."""
        found, before = _open(inputs), values.decode(AccessInputs, state)
        asked = (before.logins, before.bounds, before.schema) != (inputs.logins, inputs.bounds, inputs.schema)
        if asked or not (_is_remembered(state) and snapshot.is_comparable(state["catalog"], found)):
            return {"catalog": found, "drift": "", "altered": ""}
        drift = _told(inputs.service, state["catalog"], found)
        return {"catalog": state["catalog"] if drift else found, "drift": drift, "altered": ""}

    def look(self, state: Bag) -> Bag | None:
        """Compare the catalog with the one that the last update left; None when the database is gone."""
        reference = Reference(**state["reference"]).to(database=state["service"])
        if not is_there(reference):
            return None
        with resolve(reference).connect() as admin:
            state |= {"altered": _altered(admin, values.decode(AccessInputs, state))}
            if not _is_remembered(state):
                return state
            found = snapshot.remember(admin)
        if not snapshot.is_comparable(state["catalog"], found):  # server or TimescaleDB is of another release by now
            return state | {"catalog": found, "drift": ""}
        return state | {"drift": _told(state["service"], state["catalog"], found)}


def _open(inputs: AccessInputs) -> dict[str, str]:
    with resolve(inputs.reference.to(database=inputs.service)).connect() as admin:
        open_access(admin, inputs.service, inputs.logins, bounds=inputs.bounds)
        return snapshot.remember(admin)


def _altered(admin: psycopg.Connection, inputs: AccessInputs) -> str:
    """Return the logins that begin otherwise than they should, and say so where the engine shows it."""
    found = altered_settings(admin, {inputs.service: inputs.bounds})
    altered = ", ".join(sorted(login for _, login in found))
    if altered:
        print(f"{inputs.service}: bounds were altered by hand: {altered}; the next update puts them back", flush=True)  # noqa: T201 - the engine shows it
    return altered


def _is_remembered(state: Bag) -> bool:
    return snapshot.is_readable(state.get("catalog") or {})


def _told(service: str, before: dict[str, str], now: dict[str, str]) -> str:
    """Return the groups that differ, and say so where the engine shows it."""
    groups = ", ".join(snapshot.changed(before, now))
    if groups:
        print(  # noqa: T201 - the engine shows it
            f"{service}: {groups} are not as the last update left them; `keelson migrate drift {service}` shows what differs",
            flush=True,
        )
    return groups


class Access(Managed, module="keelson", name="Access"):
    """The application's right to connect to one database."""

    provider = AccessProvider
