"""Advisory locks that are polled: a session that waits holds no transaction, so it blocks nobody else's work."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import psycopg

from keelson.errors import LockError

LONGEST_PAUSE = 0.25  # s
FIRST_WORD = 1.0  # s of waiting before that is told
WORDS_EVERY = 5.0  # s

_HOLDER = """
SELECT a.pid, a.application_name, a.usename, extract(epoch FROM clock_timestamp() - a.backend_start)::float8
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = %s
"""


@contextmanager
def advisory_lock(
    connection: psycopg.Connection,
    key: int,
    what: str,
    deadline: float,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the session's advisory lock `key` of the connected database; `what` names it in messages.

    `on_wait` is told in a line of text who holds it, every few seconds while this session waits.

    Raises:
        LockError: somebody else still holds it after `deadline` seconds.
    """
    start = time.monotonic()
    pause, next_word = 0.01, start + FIRST_WORD
    while not _try(connection, key):
        now = time.monotonic()
        if now + pause > start + deadline:
            raise LockError(_sentence(connection, key, what, deadline))
        if on_wait and now > next_word:
            on_wait(f"waiting for the lock on {what}, {_holder(connection, key)}")
            next_word = now + WORDS_EVERY
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
    holder = _holder(connection, key)
    step = "let it finish or end it" if holder.startswith("which is held") else "run the command again"
    return f"waited {deadline:g} s for the lock on {what}, {holder}; {step}"


def _holder(connection: psycopg.Connection, key: int) -> str:
    row = connection.execute(_HOLDER, [key]).fetchone()
    if row is None:
        return "which others took in turn"
    pid, application, user, age = cast("tuple[int, str, str, float | None]", row)
    since = "" if age is None else f", connected for {age:.0f} s"
    return f"which is held by {application or 'a client'} (pid {pid}, login {user}{since})"
