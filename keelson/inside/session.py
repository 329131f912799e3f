"""A conversation with `keelson.inside.serve`, over any pair of byte streams that a platform gives to a process of the toolbox."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from keelson import errors
from keelson.errors import KeelsonError, UnreachableError


class GoneError(UnreachableError):
    """The process inside is gone."""


class Stream(Protocol):
    """The standard input and output of a process inside."""

    def write(self, text: bytes) -> None:
        """Send all of it; raises OSError when the process is gone."""

    def read_line(self) -> bytes:
        """Return the next line of its output, with its end; an empty one when the process is gone."""

    def close(self) -> None:
        """Let the process end."""


class Session:
    """Questions, one at a time, from any thread."""

    def __init__(self, stream: Stream, stack: str) -> None:
        self._stream, self._stack = stream, stack
        self._lock = threading.Lock()

    def ask(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        """Return what an operation of `keelson.inside.operations` answers.

        Raises:
            KeelsonError: the operation's own, of the class that it had there.
            GoneError: the process inside is gone.
        """
        question = json.dumps({"ask": operation, "with": arguments}) + "\n"
        with self._lock:
            try:
                self._stream.write(question.encode())
                line = self._stream.read_line()
            except OSError as fault:
                raise _gone(self._stack, fault) from None
        if not line:
            raise _gone(self._stack, EOFError("its process ended"))
        return result(json.loads(line))

    def close(self) -> None:
        """End the process inside."""
        self._stream.close()


S = TypeVar("S", bound=Session)
T = TypeVar("T")


class Sessions(Generic[S]):
    """The sessions of this process, one with each stack's toolbox, begun at the first question by `begin(place, key)`."""

    def __init__(self, begin: Callable[[str, str], S]) -> None:
        self._begin = begin
        self._known: dict[tuple[str, str], S] = {}
        self._lock = threading.Lock()

    def ask(self, place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        """Return an operation's answer."""
        return self.use(place, key, lambda session: session.ask(operation, **arguments))

    def ask_apart(self, place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401
        """Return an operation's answer in a session of its own."""
        session = self._begin(place, key)
        try:
            return session.ask(operation, **arguments)
        finally:
            session.close()

    def use(self, place: str, key: str, question: Callable[[S], T]) -> T:
        """Return what a session answers; where its process is gone, another one is asked."""
        session, new = self._session(place, key)
        try:
            return question(session)
        except GoneError:  # with its container, which another one may have followed
            self._forget(place, key, session)
            if new:
                raise
        return question(self._session(place, key)[0])

    def close(self, place: str, key: str) -> None:
        """End the session with a stack's toolbox, if there is one."""
        if session := self._known.get((place, key)):
            self._forget(place, key, session)

    def _session(self, place: str, key: str) -> tuple[S, bool]:
        """Return the session with a stack's toolbox, and whether it was begun just now."""
        with self._lock:
            if known := self._known.get((place, key)):
                return known, False
            begun = self._known[place, key] = self._begin(place, key)
            return begun, True

    def _forget(self, place: str, key: str, session: S) -> None:
        session.close()
        with self._lock:
            if self._known.get((place, key)) is session:
                del self._known[place, key]


def _gone(stack: str, fault: Exception) -> GoneError:
    return GoneError(f"the toolbox of stack {stack} does not answer ({fault}); run `keelson start`")


def result(answer: dict[str, Any]) -> Any:  # noqa: ANN401 - what was asked for
    """Return what an answer holds; raises the KeelsonError that it tells of."""
    if "error" in answer:
        kind = getattr(errors, answer["error"], KeelsonError)
        raise kind(answer["sentence"])
    return answer["answer"]
