"""Work that several threads do at once, and that ends together: when some of it fails, and when somebody interrupts.

An exception that a signal's handler raises in the midst of `concurrent.futures` leaves locks there that nobody gives back. So signals
are held back while threads are at work, looked for now and then, and delivered once the threads have ended.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from keelson.errors import BackupError

P = ParamSpec("P")
T = TypeVar("T")
LOOK = 0.1  # s between two looks for a signal
HELD = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads for a block."""

    pool: ThreadPoolExecutor
    interrupted: Callable[[], bool]

    def submit(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Begin with some work."""
        return self.pool.submit(work, *arguments, **named)

    def settle(self, work: Sequence[Future[Any]]) -> None:
        """Wait until all is done, or something fails, and raise what it failed with: of what fails at once the first in `work`."""
        left: set[Future[Any]] = {*work}
        while left:
            done, left = wait(work, LOOK, FIRST_EXCEPTION)
            for each in work:
                if each in done:
                    each.result()
            if left and self.interrupted():
                msg = "it was interrupted; run it again"
                raise BackupError(msg)


@contextmanager
def at_once(most: int, name: str, end: Callable[[], object]) -> Iterator[Threads]:
    """Give threads for the block, which ends when they have; where it fails, or somebody interrupts, `end` is called before."""
    with _held() as interrupted, ThreadPoolExecutor(most, name) as pool:
        try:
            yield Threads(pool, interrupted)
        except BaseException:
            end()
            raise


@contextmanager
def _held() -> Iterator[Callable[[], bool]]:
    """Hold signals back during the block; give what says whether one came."""
    came: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: found for number in HELD if callable(found := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            handlers[came[0]](came[0], None)
