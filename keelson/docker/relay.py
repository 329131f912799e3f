"""Connections to parts of a stack where no port can be reached: through a process in its toolbox, one for each.

A listener on a free port of this machine's loopback interface, in this process: with the process it goes.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from keelson.docker import toolbox
from keelson.docker.toolbox import ExecStream
from keelson.errors import KeelsonError
from keelson.inside import relay

LOOPBACK = "127.0.0.1"

_listeners: dict[tuple[str, str, str, int], int] = {}
_lock = threading.Lock()


def port(place: str, key: str, host: str, inner: int) -> int:
    """Return a port of this machine that leads to `host` and its port `inner` on the stack's network."""
    with _lock:
        known = _listeners.get((place, key, host, inner))
        if known is None:
            listener = socket.create_server((LOOPBACK, 0))
            known = _listeners[place, key, host, inner] = listener.getsockname()[1]
            _thread(_accept, listener, place, key, host, inner)
        return known


def _accept(listener: socket.socket, place: str, key: str, host: str, inner: int) -> None:
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _thread(_serve, client, place, key, host, inner)


def _serve(client: socket.socket, place: str, key: str, host: str, inner: int) -> None:
    """Carry one connection until both sides have ended; one that cannot be made ends at once."""
    with client:
        try:
            stream = toolbox.stream(place, key, [*toolbox.PYTHON, relay.__name__, host, str(inner)])
        except (KeelsonError, OSError):  # who connected sees the end, and the target says why
            return
        _thread(_up, client, stream)
        with contextlib.suppress(OSError):
            while block := stream.read():
                client.sendall(block)
            client.shutdown(socket.SHUT_RDWR)
        stream.close()


def _up(client: socket.socket, stream: ExecStream) -> None:
    with contextlib.suppress(OSError, ValueError):  # ValueError: a pipe that was closed meanwhile
        while block := client.recv(relay.BLOCK):
            stream.write(relay.framed(block))
        stream.write(relay.framed(b""))


def _thread(what: object, *arguments: object) -> None:
    threading.Thread(target=what, args=arguments, daemon=True).start()  # type: ignore[arg-type]
