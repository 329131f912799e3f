"""The container through which what lies on a stack's volumes is asked, commands run beside its servers, and files are written."""

from __future__ import annotations

import contextlib
import io
import socket
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keelson.containers.toolbox import PYTHON
from keelson.docker import daemon, names
from keelson.errors import PlatformError, UnreachableError
from keelson.inside import stream as streams
from keelson.inside.session import Session, Sessions

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

_HEADER = 8  # bytes before each block of a stream: which stream, 3 zeros, the block's length (Docker's API, attach)
_BLOCK = 65536


@dataclass(frozen=True)
class File:
    """A file to be written to a volume: its text, and what it belongs to."""

    text: str
    uid: int
    gid: int
    mode: int = 0o600


class ExecStream(streams.ExecStream):
    """Standard input and output of a process that runs in a container, whatever carries the daemon's answers.

    With a terminal what it writes on standard error comes with its output.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        container: Container,
        command: Sequence[str],
        *,
        terminal: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._api = client.api
        started = self._api.exec_create(
            container.id,
            [*command],
            stdin=True,
            stdout=True,
            stderr=True,
            tty=terminal,
            environment={**(environment or {})},
        )
        self.identity: str = started["Id"]
        self._terminal = terminal
        carrier: Any = self._api.exec_start(self.identity, socket=True, tty=terminal)
        self._writer: Any = getattr(carrier, "_sock", carrier)
        self._writer.settimeout(None)
        # The socket alone would miss what came in one piece with the daemon's answer, and lies in the response's buffer.
        self._response: Any = carrier._response  # noqa: SLF001
        self._reader: Any = self._response.raw._fp.fp  # noqa: SLF001

    def write(self, text: bytes) -> None:
        """Send all of it."""
        self._writer.sendall(text)

    def read_any(self) -> tuple[int, bytes]:
        """Return the next block with the number of the stream that it came on; an empty one when the process is gone."""
        if self._terminal:
            return 1, bytes(self._reader.read1(_BLOCK))
        while len(header := self._exactly(_HEADER)) == _HEADER:
            if block := self._exactly(int.from_bytes(header[4:], "big")):
                return header[0], block
        return 1, b""

    def resize(self, rows: int, columns: int) -> None:
        """Tell the process the size of its terminal."""
        self._api.exec_resize(self.identity, rows, columns)

    def status(self) -> int:
        """Return the exit status of a process that is gone."""
        return int(self._api.exec_inspect(self.identity)["ExitCode"] or 0)

    def close(self) -> None:
        """Let the process end."""
        with contextlib.suppress(OSError):
            self._writer.shutdown(socket.SHUT_RDWR)
        for each in (self._response, self._writer):
            with contextlib.suppress(OSError):
                each.close()

    def _exactly(self, size: int) -> bytes:
        return bytes(self._reader.read(size))


def ask(place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
    """Return what an operation of `keelson.inside.operations` answers in the stack's toolbox.

    Raises:
        KeelsonError: the operation's own.
        UnreachableError: the stack has no toolbox, or it does not run.
    """
    return _sessions.ask(place, key, operation, **arguments)


def ask_apart(place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
    """Return an operation's answer as `ask` does, in a session of its own: for what takes long, and keeps nobody waiting."""
    return _sessions.ask_apart(place, key, operation, **arguments)


def close(place: str, key: str) -> None:
    """End the session with a stack's toolbox, if there is one; the next question begins another."""
    _sessions.close(place, key)


def find(place: str, key: str) -> Container:
    """Return the running toolbox of a stack; raises UnreachableError where there is none."""
    from docker.errors import NotFound  # noqa: PLC0415

    client = daemon.connect(place)
    with daemon.sentences(place):
        try:
            found = client.containers.get(names.container(key, names.TOOLBOX))
        except NotFound:
            msg = f"stack {key} is not on the Docker daemon at {daemon.find(place).host}; run `keelson up`"
            raise UnreachableError(msg) from None
    if found.status != "running":
        msg = f"the toolbox of stack {key} is {found.status}; run `keelson start`"
        raise UnreachableError(msg)
    return found


def stream(
    place: str,
    key: str,
    command: Sequence[str],
    *,
    terminal: bool = False,
    environment: Mapping[str, str] | None = None,
) -> ExecStream:
    """Start a process in the toolbox; raises UnreachableError where it does not run."""
    found = find(place, key)
    with daemon.sentences(place):
        return ExecStream(daemon.connect(place), found, command, terminal=terminal, environment=environment)


def _begin(place: str, key: str) -> Session:
    return Session(stream(place, key, [*PYTHON, "keelson.inside.serve", key]), key)


_sessions = Sessions(_begin)


def write(place: str, key: str, image: str, volumes: Mapping[str, Mapping[str, File]]) -> None:
    """Write files to volumes, each replaced in one step, by a container of `image` that is never started.

    Args:
        place: the daemon.
        key: the stack's key.
        image: any image that the daemon has; nothing of it runs.
        volumes: by volume, files by their paths in it; a path that ends in a slash makes a directory.

    Raises:
        PlatformError: the daemon refuses, for example because its disk is full.
    """
    from docker.errors import DockerException  # noqa: PLC0415

    client = daemon.connect(place)
    mounts = {volume: {"bind": f"/{number}", "mode": "rw"} for number, volume in enumerate(volumes)}
    try:
        container = client.containers.create(
            image, ["true"], volumes=mounts, network_mode="none", labels=names.scratch(key)
        )
        try:
            for volume, files in volumes.items():
                container.put_archive(mounts[volume]["bind"], _archive(files))
        finally:
            container.remove(force=True, v=True)
    except DockerException as fault:
        msg = f"cannot write to the volumes {', '.join(volumes)} ({fault}); look at the daemon's disk and run the command again"
        raise PlatformError(msg) from None


def _archive(files: Mapping[str, File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, file in files.items():
            entry = tarfile.TarInfo(path)
            entry.uid, entry.gid, entry.mode = file.uid, file.gid, file.mode
            content = file.text.encode()
            entry.type = tarfile.DIRTYPE if path.endswith("/") else tarfile.REGTYPE
            entry.size = 0 if path.endswith("/") else len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
