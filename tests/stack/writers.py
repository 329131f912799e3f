"""Clients that log in anew all the time, so that a login which is refused for a moment does not go unseen."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg

from keelson.errors import KeelsonError
from tests.stack.harness import wait_until

PACE = 0.1  # seconds between two logins at least, and as long as one took: what is worked at beside it needs the processors, too


@dataclass
class Writer:
    """Logs in anew all the time, and writes a row each time."""

    log_in: Callable[[], psycopg.Connection]
    failed: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        took = 0.0
        while not self.over.wait(max(PACE, took)):
            began = time.monotonic()
            try:
                with self.log_in() as connection:
                    connection.execute("INSERT INTO notes (body) VALUES ('of a writer')")
                    self.users.append(connection.execute("SELECT current_user").fetchone()[0])
            except (psycopg.Error, KeelsonError, AssertionError) as fault:
                self.failed.append(str(fault))
            took = time.monotonic() - began


@contextlib.contextmanager
def at_work(*writers: Writer) -> Iterator[None]:
    """Let writers write, before and after what is done in between."""
    threads = [threading.Thread(target=each.work) for each in writers]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: all(each.users or each.failed for each in writers), "the writers write")
        yield
        seen = [len(each.users) for each in writers]
        wait_until(
            lambda: all(
                len(each.users) > before + 1 or each.failed for each, before in zip(writers, seen, strict=True)
            ),
            "the writers go on",
        )
    finally:
        for each in writers:
            each.over.set()
        for thread in threads:
            thread.join()
