"""Advisory locks that are polled: a session that waits holds no transaction, so it blocks nobody else's work."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import psycopg

from keelson.errors import LockError

LONGEST_PAUSE = 0.25  # s

_HOLDER = """
SELECT a.pid, a.application_name, a.usename, extract(epoch FROM clock_timestamp() - a.backend_start)::float8
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = %s
"""


@contextmanager
def advisory_lock(connection: psycopg.Connection, key: int, what: str, deadline: float) -> Iterator[None]:
    """Hold the session's advisory lock `key` of the connected database; `what` names it in messages.

    Raises:
        LockError: somebody else still holds it after `deadline` seconds.
    """
    end = time.monotonic() + deadline
    pause = 0.01
    while not _try(connection, key):
        if time.monotonic() + pause > end:
            raise LockError(_sentence(connection, key, what, deadline))
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, no secret
        pause = min(pause * 1.5, LONGEST_PAUSE)
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # a lost session has lost its lock too
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [key])


def _try(connection: psycopg.Connection, key: int) -> bool:
    row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", [key]).fetchone()
    return bool(row and row[0])


def _sentence(connection: psycopg.Connection, key: int, what: str, deadline: float) -> str:
    row = connection.execute(_HOLDER, [key]).fetchone()
    waited = f"waited {deadline:g} s for the lock on {what}"
    if row is None:
        return f"{waited}, which others took in turn; run the command again"
    pid, application, user, age = cast("tuple[int, str, str, float | None]", row)
    since = "" if age is None else f", connected for {age:.0f} s"
    return f"{waited}, which is held by {application or 'a client'} (pid {pid}, login {user}{since}); let it finish or end it"
