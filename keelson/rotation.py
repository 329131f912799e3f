"""Which of a service's two logins is in use: they take turns, as the service's generation in the settings says.

The login in use is the one that `keelson url`, pgAdmin's list and the Secrets of applications name. With another generation the
other one gets a new password and is handed out, and the one of before ends after a while, so that both work meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from keelson.postgres.names import RoleNames

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
