"""A daemon of another machine by ssh, as a socket of this one: each connection is a process `ssh … docker system dial-stdio`.

The socket lies in a directory that this user alone enters, and goes with this process. What ~/.ssh/config says counts.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

_BLOCK = 65536
_KEPT = 500  # bytes of what ssh said last

_said: dict[str, str] = {}


@functools.cache
def listen(host: str) -> str:
    """Return the address of a socket that leads to the daemon at `ssh://user@host:port`."""
    folder = Path(tempfile.mkdtemp(prefix="keelson-ssh-"))  # mode 0700
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "docker.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    threading.Thread(target=_accept, args=(listener, host), daemon=True).start()
    return f"unix://{path}"


def said(host: str) -> str:
    """Return what ssh said last of a connection that failed."""
    return _said.get(host, "")


def _accept(listener: socket.socket, host: str) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, host), daemon=True).start()


def _serve(client: socket.socket, host: str) -> None:
    """Carry one connection until either side ends."""
    with client, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                _command(host), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, process_group=0
            )
        except OSError as fault:
            _said[host] = f"ssh cannot be run: {fault.strerror}"
            return
        with contextlib.suppress(BrokenPipeError), process:  # what ssh did not take any more is not taken
            threading.Thread(target=_up, args=(client, process), daemon=True).start()
            _down(process.stdout, client)
            process.terminate()
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _KEPT))
        if words := errors.read().decode(errors="replace").strip().splitlines():
            _said[host] = words[-1]
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)  # only now: who waits for an answer asks next why there is none


def _command(host: str) -> list[str]:
    found = urlsplit(host)
    user = ["-l", found.username] if found.username else []
    port = ["-p", str(found.port)] if found.port else []
    return [
        "ssh",
        *user,
        *port,
        "-T",
        "-o",
        "BatchMode=yes",
        "--",
        found.hostname or "",
        "docker",
        "system",
        "dial-stdio",
    ]


def _up(client: socket.socket, process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while process.stdin and (block := client.recv(_BLOCK)):
            process.stdin.write(block)
            process.stdin.flush()
    with contextlib.suppress(OSError):
        process.terminate()


def _down(source: IO[bytes] | None, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while source and (block := os.read(source.fileno(), _BLOCK)):
            client.sendall(block)
