"""Which of a service's two logins is in use: they take turns, as the service's generation in the settings says.

The login in use is the one that `keelson url`, pgAdmin's list and the Secrets of applications name. With another generation the
other one gets a new password and is handed out, and the one of before ends after a while, so that both work meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from keelson.postgres.names import RoleNames

ROLES = "pulumi-python:dynamic/keelson:Roles"  # the type of the resource of a service's roles
FIRST = 1  # the generation of a service that was never rotated


@dataclass(frozen=True, slots=True)
class Pair:
    """The logins that are in use at the same time."""

    app: str
    readonly: str

    def __iter__(self) -> Iterator[str]:
        """Go through both."""
        return iter((self.app, self.readonly))

    def __str__(self) -> str:
        """Return both for people."""
        return f"{self.app} and {self.readonly}"


@dataclass(frozen=True, slots=True)
class Turn:
    """How far a service's logins have come.

    Attributes:
        generation: whose logins are in use.
        since: from when on, in ISO 8601; empty where nobody wrote that down.
        made: for which generation each login got its password.
    """

    generation: int = FIRST
    since: str = ""
    made: Mapping[str, int] = field(default_factory=dict)

    def made_for(self, login: str) -> int:
        """Return for which generation a login got its password; 0 for one that was never in use."""
        return self.made.get(login, FIRST if login.endswith("_a") else 0)


def in_use(service: str, generation: int) -> Pair:
    """Return the logins that a generation hands out: the first ones where it is odd."""
    names = RoleNames(service)
    return Pair(names.app_a, names.readonly_a) if generation % 2 else Pair(names.app_b, names.readonly_b)


def set_aside(service: str, generation: int) -> Pair:
    """Return the other ones."""
    return in_use(service, generation + 1)


@dataclass(frozen=True, slots=True)
class Age:
    """Since when a service's logins are in use, as the engine's state knows it; None for one of an older release."""

    generation: int
    since: datetime | None

    def is_over(self, days: int, now: datetime) -> bool:
        """Say whether that is some days ago; what nobody wrote down is taken for long ago."""
        return self.since is None or now - self.since >= timedelta(days=days)

    def told(self) -> str:
        """Return it for people."""
        return f"since {self.since:%Y-%m-%d}" if self.since else "longer than anybody knows"


def ages(resources: Iterable[Mapping[str, Any]]) -> dict[str, Age]:
    """Return the age of each service's logins by the resources of the engine's state."""
    found = (resource.get("outputs") or {} for resource in resources if resource["type"] == ROLES)
    return {str(each["service"]): _age(each) for each in found if "service" in each}


def _age(outputs: Mapping[str, Any]) -> Age:
    since = outputs.get("since")
    return Age(int(outputs.get("generation", FIRST)), datetime.fromisoformat(since) if since else None)
