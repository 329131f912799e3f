"""A proxy on loopback that speaks PostgreSQL's protocol just far enough to act after its n-th message."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

_LENGTH = 4  # bytes of a message's length, which counts itself


class Proxy:
    """Passes messages between clients and a server, and counts those of both directions.

    Args:
        server: The port of the server on 127.0.0.1.
        after: The message after which `act` is called once; without `act` the connection is cut then, in both directions.
        half: Pass only half of that message on.
    """

    def __init__(
        self, server: int, after: int = 0, act: Callable[[], None] | None = None, *, half: bool = False
    ) -> None:
        self._server, self._after, self._act, self._half = server, after, act, half
        self._counting = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.messages = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()
        for thread in self._threads:
            thread.join()

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets.append(end)
                self._start(self._pass, client, server, 0)  # the first message has no type
                self._start(self._pass, server, client, 1)

    def _pass(self, source: socket.socket, target: socket.socket, type_length: int) -> None:
        with suppress(OSError):
            while message := _read(source, type_length):
                type_length = 1
                if not self._deliver(target, message):
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _deliver(self, target: socket.socket, message: bytes) -> bool:
        with self._counting:
            self.messages += 1
            is_last = self.messages == self._after
        target.sendall(message[: len(message) // 2] if is_last and self._half else message)
        if is_last and self._act:
            self._act()
        return not is_last or bool(self._act)

    def _cut(self) -> None:
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _read(source: socket.socket, type_length: int) -> bytes:
    """Return one message; nothing at the end."""
    head = _exactly(source, type_length + _LENGTH)
    return head and head + _exactly(source, int.from_bytes(head[type_length:]) - _LENGTH)


def _exactly(source: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := source.recv(length - len(data))):
        data += more
    return data
