"""A conversation with `keelson.inside.serve`, over any pair of byte streams that a platform gives to a process of the toolbox."""

from __future__ import annotations

import json
import threading
from typing import Any, Protocol

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
        return _result(json.loads(line))

    def close(self) -> None:
        """End the process inside."""
        self._stream.close()


def _gone(stack: str, fault: Exception) -> GoneError:
    return GoneError(f"the toolbox of stack {stack} does not answer ({fault}); run `keelson start`")


def _result(answer: dict[str, Any]) -> Any:  # noqa: ANN401
    if "error" in answer:
        kind = getattr(errors, answer["error"], KeelsonError)
        raise kind(answer["sentence"])
    return answer["answer"]
