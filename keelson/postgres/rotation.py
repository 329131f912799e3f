"""Until when a login's password is good: PostgreSQL itself ends it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import psycopg
from psycopg import sql

_ENDED = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s) AND rolvaliduntil <= pg_catalog.now()"
_BOUNDED = """
    SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s) AND pg_catalog.isfinite(rolvaliduntil)
"""
# No later than what stands there: who runs this again after a kill gives nobody more time.
_END = """
    SELECT rolname, (LEAST(rolvaliduntil, pg_catalog.now() + pg_catalog.make_interval(hours => %s)) AT TIME ZONE 'UTC')::text
    FROM pg_catalog.pg_roles WHERE rolname = ANY(%s) ORDER BY rolname
"""


def ended(admin: psycopg.Connection, logins: Iterable[str]) -> frozenset[str]:
    """Return the logins whose password is no longer good."""
    return frozenset(name for (name,) in admin.execute(_ENDED, [list(logins)]))


def bounded(admin: psycopg.Connection, logins: Iterable[str]) -> frozenset[str]:
    """Return the logins whose password ends, or has ended."""
    return frozenset(name for (name,) in admin.execute(_BOUNDED, [list(logins)]))


def keep_open(admin: psycopg.Connection, logins: Collection[str]) -> None:
    """Let passwords be good for ever; to be called when they are the new ones, so that none that has ended is good again."""
    for name in sorted(bounded(admin, logins)):
        admin.execute(sql.SQL("ALTER ROLE {} VALID UNTIL 'infinity'").format(sql.Identifier(name)))


def end(admin: psycopg.Connection, logins: Collection[str], hours: int) -> str:
    """Let passwords be good for some hours more, or for less where that was said before; return when the last one ends, in UTC."""
    found = admin.execute(_END, [hours, list(logins)]).fetchall()
    for name, when in found:
        query = sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(sql.Identifier(name), sql.Literal(f"{when}+00"))
        admin.execute(query)
    take_away(admin, logins)
    return max((str(when) for _, when in found), default="")


def take_away(admin: psycopg.Connection, logins: Iterable[str]) -> None:
    """Take passwords that have ended from their logins: a pooler asks for the password alone, and has connections to lend without the server."""
    for name in sorted(ended(admin, logins)):
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(name)))
