"""Questions that are ended from another thread, whatever the asking one is at."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import errors

from keelson.backups.asking import Asking
from keelson.errors import BackupError
from tests.backups.conftest import Subject

SECONDS = 30.0


def test_what_is_asked_later_is_ended_too(subject: Subject) -> None:
    between, ended = threading.Event(), threading.Event()

    def questions(connection: psycopg.Connection) -> None:
        connection.execute("SELECT 1")
        between.set()
        assert ended.wait(SECONDS)
        connection.execute("SELECT pg_sleep(600)")

    with subject.connect() as connection, ThreadPoolExecutor(2) as pool:
        asking = Asking(connection)
        asked = pool.submit(asking.ask, questions)
        assert between.wait(SECONDS)
        ending = pool.submit(asking.end)
        ended.set()
        ending.result(SECONDS)
        assert isinstance(asked.exception(SECONDS), errors.QueryCanceled)


def test_nothing_is_asked_after_the_end(subject: Subject) -> None:
    with subject.connect() as connection:
        asking = Asking(connection)
        assert asking.ask(lambda each: each.execute("SELECT 1").fetchone()) == (1,)
        asking.end()
        with pytest.raises(BackupError, match="were ended"):
            asking.ask(lambda each: each.execute("SELECT 1"))
