"""A connection through a cluster's API, of several channels, as exec and port-forward have them.

Each message begins with its channel's number. One thread reads, others may write: the socket never blocks inside OpenSSL, whose objects
one thread at a time may use. While nothing comes, a ping keeps the connection from being taken for idle, and its answer shows that it
is not dropped.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from keelson.errors import PlatformError
from keelson.kubernetes import faults
from keelson.kubernetes.cluster import MANAGER, NOT_DONE, SECONDS_TO_ANSWER, Cluster, pause
from keelson.kubernetes.credentials import Link, proxied
from keelson.reasons import reason

BLOCK = 32768  # bytes of a message
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"  # with v5 a channel can be closed; API servers have it since 1.30
ENDED = 255  # the channel on which v5 tells of a channel's end
SECONDS_TO_OPEN = 10.0  # while the API is not well
HEARTBEAT = 15.0  # seconds of silence after which a ping is sent
SILENCE = 30.0  # seconds without an answer to it, after which the connection is taken for dropped
LONG_SILENCE = 900.0  # the same, where the other side may be busy handing on what was sent to it
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


class Connection:
    """One WebSocket.

    Attributes:
        closes_channels: whether the end of one channel alone can be told.
    """

    def __init__(
        self, cluster: Cluster, path: str, query: Sequence[tuple[str, str]], protocols: Sequence[str] = (V5, V4)
    ) -> None:
        self._web: Any = _opened(cluster, path, query, protocols)
        self.closes_channels = self._web.subprotocol == V5
        self._socket = self._web.sock = _Socket(self._web.sock, self._keep_alive)
        self._writing = threading.Lock()
        self._asked = 0.0  # when the ping was sent that has no answer yet
        self._proven = True  # that the other side has handed on all that was sent

    def send(self, channel: int, content: bytes) -> None:
        """Send all of it; raises OSError when the connection is gone."""
        for start in range(0, len(content), BLOCK):
            self._send(bytes([channel]) + content[start : start + BLOCK])

    def end(self, channel: int) -> None:
        """Tell that nothing more comes on a channel; raises PlatformError where the API server is too old for that."""
        if not self.closes_channels:
            msg = "the cluster's API cannot end one channel of a stream; upgrade it to Kubernetes 1.30 or newer"
            raise PlatformError(msg)
        self._send(bytes([ENDED, channel]))

    def receive(self) -> tuple[int, bytes] | None:
        """Return the next message with its channel; None when the connection has ended, however that came about."""
        from websocket import ABNF, WebSocketException  # noqa: PLC0415

        while True:
            try:
                kind, frame = self._web.recv_data_frame(True)  # noqa: FBT003 - pings' answers too
            except (WebSocketException, OSError, ValueError):  # ValueError: closed meanwhile
                return None
            if kind == ABNF.OPCODE_CLOSE:
                return None
            if kind == ABNF.OPCODE_PONG:
                self._proven, self._asked = True, 0.0
            elif frame.data:
                return frame.data[0], bytes(frame.data[1:])

    def close(self) -> None:
        """End it; a thread that reads sees the end."""
        self._socket.close()

    def _send(self, message: bytes) -> None:
        from websocket import WebSocketException  # noqa: PLC0415

        with self._writing:
            self._proven = False
            try:
                self._web.send_binary(message)
            except (WebSocketException, ValueError) as fault:
                raise ConnectionResetError(reason(fault)) from None

    def _keep_alive(self) -> None:
        """Send a ping where none is on its way; raises OSError where one has no answer for too long.

        A side that is busy handing on what it got reads nothing meanwhile, so it does not answer either.
        """
        now = time.monotonic()
        if self._asked:
            if now - self._asked > (SILENCE if self._proven else LONG_SILENCE):
                raise ConnectionResetError
            return
        if self._socket.has_room() and self._writing.acquire(blocking=False):
            try:
                self._asked = now
                self._web.ping()
            finally:
                self._writing.release()


class _Socket:
    """A connected socket for one reader and any number of writers."""

    def __init__(self, carrier: socket.socket, while_silent: Callable[[], None]) -> None:
        carrier.settimeout(0)
        self._carrier, self._while_silent = carrier, while_silent
        self._lock = threading.Lock()
        self._closed = False

    def recv(self, size: int) -> bytes:
        while not self._closed:
            with self._lock, contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return self._carrier.recv(size)
            if not self._wait(select.POLLIN, HEARTBEAT):
                self._while_silent()
        return b""

    def send(self, content: bytes) -> int:
        while not self._closed:
            with self._lock, contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return self._carrier.send(content)
            self._wait(select.POLLOUT, HEARTBEAT)
        raise BrokenPipeError

    def has_room(self) -> bool:
        return self._wait(select.POLLOUT, 0)

    def gettimeout(self) -> float:
        return 0  # so that the library waits nowhere itself

    def settimeout(self, seconds: float | None) -> None:
        """Leave it as it is."""

    def fileno(self) -> int:
        return self._carrier.fileno()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(
                self._carrier, socket.SHUT_RDWR
            )  # wakes who waits; that of SSL would take the encryption off
        with self._lock:
            self._carrier.close()

    def _wait(self, event: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._carrier, event)
        return bool(poll.poll(seconds * 1000))


def _opened(cluster: Cluster, path: str, query: Sequence[tuple[str, str]], protocols: Sequence[str]) -> Any:  # noqa: ANN401
    """Return the library's WebSocket, connected; raises faults.ApiError where the API refuses or does not answer."""
    from websocket import WebSocketBadStatusException, WebSocketException  # noqa: PLC0415

    link, until = cluster.link, time.monotonic() + SECONDS_TO_OPEN
    for attempt in itertools.count():
        try:
            return _tried(link, f"{path}?{urlencode(query)}", protocols)
        except WebSocketBadStatusException as fault:
            wait = pause(attempt, (fault.resp_headers or {}).get("retry-after", ""))
            if fault.status_code not in NOT_DONE or time.monotonic() + wait > until:
                raise faults.refused(link, "reach", path, fault.status_code, fault.resp_body or b"") from None
            time.sleep(wait)
        except (WebSocketException, OSError) as fault:
            raise faults.unanswered(link, reason(fault)) from None
    raise AssertionError  # the count has no end


def _tried(link: Link, path: str, protocols: Sequence[str]) -> Any:  # noqa: ANN401
    from websocket import WebSocket  # noqa: PLC0415

    url = f"{link.server}{path}".replace("http", "ws", 1)
    name = link.configuration.tls_server_name
    options = {"context": link.tls, **({"server_hostname": name} if name else {})}
    web: Any = WebSocket(sslopt=options, sockopt=[*_KEEPALIVE], skip_utf8_validation=True)
    header = [f"{key}: {value}" for key, value in link.headers().items()]
    web.connect(
        url,
        header=[*header, f"User-Agent: {MANAGER}"],
        subprotocols=list(protocols),
        suppress_origin=True,
        timeout=SECONDS_TO_ANSWER,
        **proxied(link.configuration, url),
    )
    return web
