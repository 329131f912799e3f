"""The container through which what lies on a stack's volumes is asked, commands run beside its servers, and files are written."""

from __future__ import annotations

import contextlib
import io
import socket
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keelson.docker import daemon, names
from keelson.errors import PlatformError, UnreachableError
from keelson.inside.session import Session

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

PYTHON = ("python3", "-I", "-m")
_HEADER = 8  # bytes before each block of a stream: which stream, 3 zeros, the block's length (Docker's API, attach)
_STDERR = 2


@dataclass(frozen=True)
class File:
    """A file to be written to a volume: its text, and what it belongs to."""

    text: str
    uid: int
    gid: int
    mode: int = 0o600


class ExecStream:
    """Standard input and output of a process that runs in a container."""

    def __init__(self, client: docker.DockerClient, container: Container, command: list[str]) -> None:
        started = client.api.exec_create(container.id, command, stdin=True, stdout=True, stderr=True)
        self._socket: Any = client.api.exec_start(started["Id"], socket=True)
        self._raw: socket.socket = getattr(self._socket, "_sock", self._socket)
        self._raw.settimeout(None)
        self._received = b""
        self.said = b""  # on standard error

    def write(self, text: bytes) -> None:
        """Send all of it."""
        self._raw.sendall(text)

    def read_line(self) -> bytes:
        """Return the next line of its output; an empty one when the process is gone."""
        while b"\n" not in self._received:
            block = self.read()
            if not block:
                return b""
            self._received += block
        line, end, self._received = self._received.partition(b"\n")
        return line + end

    def read(self) -> bytes:
        """Return the next block of its output; an empty one when the process is gone."""
        while True:
            header = self._exactly(_HEADER)
            if not header:
                return b""
            block = self._exactly(int.from_bytes(header[4:], "big"))
            if header[0] != _STDERR:
                return block
            self.said = (self.said + block)[-4096:]

    def close(self) -> None:
        """Let the process end."""
        with contextlib.suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            block = self._raw.recv(size - len(found))
            if not block:
                return b""
            found += block
        return found


_sessions: dict[tuple[str, str], Session] = {}
_lock = threading.Lock()


def ask(place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
    """Return what an operation of `keelson.inside.operations` answers in the stack's toolbox.

    Raises:
        KeelsonError: the operation's own.
        UnreachableError: the stack has no toolbox, or it does not run.
    """
    with _lock:
        session = _sessions.get((place, key))
        if session is None:
            session = _sessions[place, key] = _begin(place, key)
    try:
        return session.ask(operation, **arguments)
    except UnreachableError as fault:
        if "does not answer (" in str(fault):  # the process is gone: the next question begins another one
            with _lock:
                _sessions.pop((place, key), None)
        raise


def find(place: str, key: str) -> Container:
    """Return the running toolbox of a stack; raises UnreachableError where there is none."""
    from docker.errors import DockerException, NotFound  # noqa: PLC0415

    name = names.container(key, names.TOOLBOX)
    try:
        found = daemon.connect(place).containers.get(name)
    except NotFound:
        msg = f"stack {key} is not on the Docker daemon at {daemon.find(place).host}; run `keelson up`"
        raise UnreachableError(msg) from None
    except DockerException as fault:
        msg = f"the Docker daemon at {daemon.find(place).host} does not answer ({fault}); start it"
        raise UnreachableError(msg) from None
    if found.status != "running":
        msg = f"the toolbox of stack {key} is {found.status}; run `keelson start`"
        raise UnreachableError(msg)
    return found


def _begin(place: str, key: str) -> Session:
    return Session(ExecStream(daemon.connect(place), find(place, key), [*PYTHON, "keelson.inside.serve", key]), key)


def write(place: str, image: str, volumes: Mapping[str, Mapping[str, File]]) -> None:
    """Write files to volumes, each replaced in one step, by a container of `image` that is never started.

    Args:
        place: the daemon.
        image: any image that the daemon has; nothing of it runs.
        volumes: by volume, files by their paths in it; a path that ends in a slash makes a directory.

    Raises:
        PlatformError: the daemon refuses, for example because its disk is full.
    """
    from docker.errors import DockerException  # noqa: PLC0415

    client = daemon.connect(place)
    mounts = {volume: {"bind": f"/{number}", "mode": "rw"} for number, volume in enumerate(volumes)}
    try:
        container = client.containers.create(image, ["true"], volumes=mounts, network_mode="none")
        try:
            for volume, files in volumes.items():
                container.put_archive(mounts[volume]["bind"], _archive(files))
        finally:
            container.remove(force=True)
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
