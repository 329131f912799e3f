"""Several statements in one message, as libpq sends them, with each result as it arrives."""

from __future__ import annotations

import select
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import psycopg
from psycopg import errors, pq

CHUNK = 1000  # rows of a result that are held at once
_FAULTS = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE, pq.ExecStatus.NONFATAL_ERROR)
_SEPARATOR = "\n;\n"  # on a line of its own: a statement may end with a comment

Origin = TypeVar("Origin")


@dataclass(slots=True)
class Message(Generic[Origin]):
    """Statements that are sent together, and what each of them is from."""

    origins: list[Origin] = field(default_factory=list, init=False)
    _parts: list[str] = field(default_factory=list, init=False)

    def add(self, text: str, origin: Origin) -> None:
        """Add one statement."""
        self._parts.append(text)
        self.origins.append(origin)

    def text(self) -> str:
        """Return all of it."""
        return _SEPARATOR.join(self._parts)

    def failed_after(self, done: int) -> tuple[Origin, int]:
        """Return what the statement is from that failed when `done` were done, and how many characters stand before it."""
        number = min(done, len(self._parts) - 1)  # what is wrong with all of them is told at the end
        return self.origins[number], sum(len(part) + len(_SEPARATOR) for part in self._parts[:number])


def send(connection: psycopg.Connection, text: str) -> Generator[None]:
    """Run the statements of a message, and yield once for each as soon as it is done.

    Rows that they return are dropped as they arrive. Where the reader stops before the end, what runs is cancelled.

    Raises:
        psycopg.Error: one failed, and those after it were not run; its position counts from the start of the text.
    """
    try:
        yield from _results(connection.pgconn, text)
    except (KeyboardInterrupt, GeneratorExit):
        with suppress(psycopg.Error):
            connection.cancel_safe()
            while _next(connection.pgconn):
                pass
        raise


def _results(wire: pq.abc.PGconn, text: str) -> Iterator[None]:
    wire.send_query(text.encode())
    wire.set_chunked_rows_mode(CHUNK)
    while wire.flush():
        _wait(wire, select.POLLIN | select.POLLOUT)
    while result := _next(wire):
        if result.status in _FAULTS:
            with suppress(psycopg.OperationalError):  # a connection that is lost as well
                while _next(wire):
                    pass
            raise errors.error_from_result(result, encoding="utf-8")
        if result.status != pq.ExecStatus.TUPLES_CHUNK:
            yield


def _next(wire: pq.abc.PGconn) -> pq.abc.PGresult | None:
    while wire.is_busy():
        _wait(wire, select.POLLIN)
    return wire.get_result()


def _wait(wire: pq.abc.PGconn, events: int) -> None:
    poll = select.poll()
    poll.register(wire.socket, events)
    poll.poll()
    wire.consume_input()
