"""The pod through which what lies on a stack's volumes is asked, and commands run beside its servers.

The stack's state lies in a Secret that the pod does not mount: each session hands it over before its first question, and again when
it has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keelson.containers.toolbox import PYTHON
from keelson.inside import serve
from keelson.inside.session import Session, Sessions
from keelson.kubernetes import cluster, names, pods, state
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.streams import ExecStream


class InformedSession(Session):
    """A session whose other side sees the stack's state as it is."""

    def __init__(self, stream: ExecStream, place: str, key: str) -> None:
        super().__init__(stream, key)
        self._place, self._key = place, key
        self._told = ""

    def ask(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        """Return what an operation of `keelson.inside.operations` answers; raises what `Session.ask` does."""
        self.tell()
        return super().ask(operation, **arguments)

    def tell(self) -> None:
        """Hand the stack's state over, where it is another one than before."""
        if state.version(self._place, self._key) != self._told:
            now = state.read(self._place, self._key)
            super().ask("take_state", files=dict(now.files))
            self._told = now.version


def ask(place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
    """Return what an operation of `keelson.inside.operations` answers in the stack's toolbox, which changes no state there.

    Raises:
        KeelsonError: the operation's own, or the cluster's.
        UnreachableError: the stack has no toolbox, or it is not ready.
    """
    return _sessions.ask(place, key, operation, **arguments)


def ask_apart(place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
    """Return an operation's answer as `ask` does, in a session of its own: for what takes long, and keeps nobody waiting."""
    return _sessions.ask_apart(place, key, operation, **arguments)


def tell(place: str, key: str) -> None:
    """Let the toolbox see the stack's state as it is now; raises what `ask` does."""
    _sessions.use(place, key, InformedSession.tell)


def close(place: str, key: str) -> None:
    """End the session with a stack's toolbox, if there is one; the next question begins another."""
    _sessions.close(place, key)


def find(place: str, key: str) -> Json:
    """Return the toolbox's pod; raises UnreachableError where none is ready."""
    return pods.ready(cluster.connect(place), names.selector(key, names.TOOLBOX), f"the toolbox of stack {key}")


def stream(
    place: str,
    key: str,
    command: Sequence[str],
    *,
    terminal: bool = False,
    environment: Mapping[str, str] | None = None,
) -> ExecStream:
    """Start a process in the toolbox; raises UnreachableError where it is not ready."""
    pod = find(place, key)
    return ExecStream(cluster.connect(place), pod, command, terminal=terminal, environment=environment)


def _begin(place: str, key: str) -> InformedSession:
    return InformedSession(stream(place, key, [*PYTHON, serve.__name__, key]), place, key)


_sessions = Sessions(_begin)
