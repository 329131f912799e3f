"""Questions to a server that another thread can end, wherever in between them the asking thread has come to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psycopg

from keelson.errors import BackupError

T = TypeVar("T")
AGAIN = 0.1  # s after which a server is asked once more to cancel: between two questions there is nothing to cancel


class Asking:
    """What one thread asks over a connection, and another ends."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection, self._lock, self._over = connection, threading.Lock(), False
        self._done = threading.Event()
        self._done.set()

    def ask(self, questions: Callable[[psycopg.Connection], T]) -> T:
        """Return what `questions` find; raises psycopg.Error or BackupError once it is ended."""
        with self._lock:
            if self._over:
                msg = "the questions to the server were ended; run it again"
                raise BackupError(msg)
            self._done.clear()
        try:
            return questions(self._connection)
        finally:
            self._done.set()

    def end(self) -> None:
        """End what is asked, and return when the connection is free; nothing is asked from now on."""
        with self._lock:
            self._over = True
        while not self._done.wait(AGAIN):
            with suppress(psycopg.Error):  # of a lost connection the asking thread hears too
                self._connection.cancel_safe()
