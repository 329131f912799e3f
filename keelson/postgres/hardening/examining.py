"""Running all checks on a live server."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import psycopg

from keelson.errors import UnreachableError
from keelson.postgres.connection import server_address
from keelson.postgres.hardening.facts import Facts, HiddenError
from keelson.postgres.hardening.model import Check, Expected, Finding, Judgement, State, unjudged
from keelson.postgres.hardening.table import CHECKS


def examine(admin: psycopg.Connection, expected: Expected, skipped: Collection[str] = ()) -> tuple[Finding, ...]:
    """Return what each check finds on the server; nothing on it is changed.

    Args:
        admin: a connection in autocommit, of a superuser: what another login may not see cannot be judged.
        expected: what is known of the server's purpose.
        skipped: ids of checks that do not count here.
    """
    with Facts(admin, expected) as facts:
        return tuple(_findings(facts, skipped))


def _findings(facts: Facts, skipped: Collection[str]) -> Iterator[Finding]:
    for number, check in enumerate(CHECKS, start=1):
        left_out = Judgement(State.skipped, "left out")
        yield Finding(check, number, left_out if check.id in skipped else _judge(check, facts))


def _judge(check: Check, facts: Facts) -> Judgement:
    try:
        return check.judge(facts)
    except psycopg.errors.InsufficientPrivilege as fault:
        return unjudged(f"the login may not ask for it ({fault.diag.message_primary}); give a superuser's")
    except psycopg.errors.QueryCanceled:
        return unjudged("the server took too long to answer; ask again when it has less to do")
    except (HiddenError, UnreachableError) as fault:
        return unjudged(str(fault))
    except psycopg.Error as fault:
        said = (fault.diag.message_primary or str(fault)).splitlines()[0]
        if facts.admin.broken:
            msg = f"{server_address(facts.admin)} ended the connection while it was looked at ({said}); see its log"
            raise UnreachableError(msg) from None
        return unjudged(f"the server could not answer ({said}); tell of it with the server's version")
