"""Ports of this machine that lead to parts of a stack, where no port of theirs can be reached.

A listener on a free port of the loopback interface, in this process: with the process it goes. What carries a connection is the
platform's; a process of the stack's toolbox can on each (`carry`).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Hashable

from keelson.inside import relay
from keelson.inside.stream import ExecStream

LOOPBACK = "127.0.0.1"

_listeners: dict[Hashable, int] = {}
_lock = threading.Lock()


def port(what: Hashable, serve: Callable[[socket.socket], None]) -> int:
    """Return the port that leads to `what`; `serve` carries one connection in a thread of its own, and need not close it."""
    with _lock:
        known = _listeners.get(what)
        if known is None:
            listener = socket.create_server((LOOPBACK, 0))
            known = _listeners[what] = listener.getsockname()[1]
            start(_accept, listener, serve)
        return known


def carry(client: socket.socket, stream: ExecStream) -> None:
    """Carry a connection through `keelson.inside.relay` until both sides have ended."""
    start(_up, client, stream)
    with contextlib.suppress(OSError):
        while block := stream.read():
            client.sendall(block)
        client.shutdown(socket.SHUT_RDWR)
    stream.close()


def start(what: Callable[..., object], *arguments: object) -> None:
    """Run a thread that keeps no process from ending."""
    threading.Thread(target=what, args=arguments, daemon=True).start()


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start(_serve, client, serve)


def _serve(client: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    with client:
        serve(client)


def _up(client: socket.socket, stream: ExecStream) -> None:
    with contextlib.suppress(OSError, ValueError):  # ValueError: a pipe that was closed meanwhile
        while block := client.recv(relay.BLOCK):
            stream.write(relay.framed(block))
        stream.write(relay.framed(b""))
