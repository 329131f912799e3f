"""Processes that run in pods."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from keelson.errors import PlatformError, UnreachableError
from keelson.inside import stream
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.websocket import Connection

STDIN, STDOUT, STDERR, OUTCOME, SIZE = range(5)  # channels
CHOSEN = "kubectl.kubernetes.io/default-container"  # a pod's annotation
_EXITED = "NonZeroExitCode"


class ExecStream(stream.ExecStream):
    """Standard input and output of a process that runs in a pod's container.

    With a terminal what it writes on standard error comes with its output.
    """

    def __init__(
        self,
        cluster: Cluster,
        pod: Json,
        command: Sequence[str],
        *,
        terminal: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._pod = str(pod["metadata"]["name"])
        self._cluster = cluster
        self._outcome: dict[str, Any] | None = None
        given = [f"{name}={value}" for name, value in (environment or {}).items()]
        words = ["env", *given, *command] if given else command
        flags = {"stdin": True, "stdout": True, "stderr": not terminal, "tty": terminal}
        query = [("container", container(pod)), *((name, str(flag).lower()) for name, flag in flags.items())]
        path = f"{cluster.at('pods', self._pod)}/exec"
        self._connection = Connection(cluster, path, [*query, *(("command", word) for word in words)])

    def write(self, text: bytes) -> None:
        """Send all of it; raises OSError when the process is gone."""
        self._connection.send(STDIN, text)

    def end_input(self) -> None:
        """Let the process read the end of its input."""
        self._connection.end(STDIN)

    def read_any(self) -> tuple[int, bytes]:
        """Return the next block with the number of the stream that it came on; an empty one when the process is gone."""
        while found := self._connection.receive():
            channel, block = found
            if channel in {STDOUT, STDERR} and block:
                return channel, block
            if channel == OUTCOME and block:
                self._outcome = json.loads(block)
        return STDOUT, b""

    def resize(self, rows: int, columns: int) -> None:
        """Tell the process the size of its terminal."""
        self._connection.send(SIZE, json.dumps({"Width": columns, "Height": rows}).encode())

    def status(self) -> int:
        """Return the exit status of a process that is gone.

        Raises:
            PlatformError: it could not be started.
            UnreachableError: the connection to it was dropped, so nobody knows.
        """
        if self._outcome is None:
            msg = f"the connection to pod {self._pod} of the cluster {self._cluster.name} was dropped; run the command again"
            raise UnreachableError(msg)
        if self._outcome.get("status") == "Success":
            return 0
        causes = (self._outcome.get("details") or {}).get("causes") or []
        if self._outcome.get("reason") == _EXITED and causes:
            return int(causes[0]["message"])
        said = " ".join(str(self._outcome.get("message", "it says nothing")).split())
        look = self._cluster.kubectl(f"describe pod {self._pod}")
        msg = f"pod {self._pod} of the cluster {self._cluster.name} runs no command: {said}; see `{look}`"
        raise PlatformError(msg)

    def close(self) -> None:
        """Let the process end: it reads the end of its input."""
        self._connection.close()


def container(pod: Json) -> str:
    """Return the container of a pod that is meant where none is named."""
    chosen = (pod["metadata"].get("annotations") or {}).get(CHOSEN)
    return str(chosen or pod["spec"]["containers"][0]["name"])
