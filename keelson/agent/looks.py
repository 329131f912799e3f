"""Looks at things that may hang, such as a frozen server: each in a thread of its own, with a deadline, never two at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")

FRESH = 1.5  # seconds for which an answer is handed out again


class Look(Generic[T]):
    """One such look; those who ask at the same time get the same answer.

    A look that hangs costs one thread and one connection until what it looks at moves again, however often it is asked for.
    """

    def __init__(self, function: Callable[[], T], seconds: float) -> None:
        self._function, self._seconds = function, seconds
        self._lock = threading.Lock()
        self._future: Future[T] | None = None
        self._begun = self._done = 0.0

    def begin(self) -> Future[T]:
        """Begin to look unless one is under way or has just ended; what `result` returns."""
        with self._lock:
            if self._future is None or (self._future.done() and time.monotonic() - self._done > FRESH):
                self._future, self._begun = Future(), time.monotonic()
                threading.Thread(target=self._look, args=(self._future,), daemon=True).start()
            return self._future

    def result(self) -> T:
        """Return the answer; raises TimeoutError after the deadline, and what the function raises."""
        future = self.begin()
        return future.result(max(0.0, self._begun + self._seconds - time.monotonic()))

    def _look(self, future: Future[T]) -> None:
        try:
            answer = self._function()
        except BaseException as fault:  # noqa: BLE001 - the one who asked gets it
            self._done = time.monotonic()
            future.set_exception(fault)
        else:
            self._done = time.monotonic()
            future.set_result(answer)
