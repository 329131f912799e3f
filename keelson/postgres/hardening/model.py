"""What a check is, what it is told of a server's purpose, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keelson.postgres.hardening.facts import Facts


SHOWN = 4  # faults that stand in one line


class State(StrEnum):
    """How a check ended."""

    ok = "ok"
    failed = "failed"
    unjudged = "unjudged"  # where it runs it cannot be seen whether all is as it should be
    skipped = "skipped"  # the caller said that it does not count here


@dataclass(frozen=True)
class Judgement:
    """What a check says: that all is as it should be, all that is not, or why that cannot be seen from here."""

    state: State
    found: str
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What a service's database should be: whose, and with which extensions."""

    owner: str
    extensions: tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """What the caller knows of the server's purpose; what is None is not known, as of a server that is given by its URL.

    Attributes:
        databases: the services' databases by name.
        logins: all roles that should log in, beside those that Keelson's own table on the server names.
        operators: the logins of what keeps the server running, of which some replicate.
        behind_a_network: that the server has a network of its own, which decides who reaches it.
        passwords: the stack's own, which must stand in no text of the server.
        backups: how the backups of the services' databases are.
        files: how the modes of the stack's files are.
    """

    databases: Mapping[str, Wanted] | None = None
    logins: frozenset[str] | None = None
    operators: frozenset[str] | None = None
    behind_a_network: bool = False
    passwords: frozenset[str] = field(default=frozenset(), repr=False)
    backups: Callable[[], Judgement] | None = None
    files: Callable[[], Judgement] | None = None


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        id: what it is called by.
        title: what should be so.
        sources: where it comes from: STIG of Crunchy Data's PostgreSQL, CIS benchmark of PostgreSQL 17.
        fix: what to do where it is not so.
        judge: looks.
    """

    id: str
    title: str
    sources: str
    fix: str
    judge: Callable[[Facts], Judgement]


@dataclass(frozen=True)
class Finding:
    """What one check found on one server."""

    check: Check
    number: int
    judgement: Judgement

    @property
    def counts_against(self) -> bool:
        """Whether the server is not known to be as it should be."""
        return self.judgement.state in {State.failed, State.unjudged}


def good(found: str) -> Judgement:
    """Return that all is as it should be."""
    return Judgement(State.ok, found)


def bad(*faults: str) -> Judgement:
    """Return that something is not as it should be."""
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Judgement(State.failed, "; ".join(faults[:SHOWN]) + more, faults)


def unjudged(why: str) -> Judgement:
    """Return that it cannot be seen from here, and why."""
    return Judgement(State.unjudged, why)


def judged(faults: Iterable[str], otherwise: str) -> Judgement:
    """Return the faults, or where there are none what else was found."""
    return bad(*found) if (found := tuple(faults)) else good(otherwise)
