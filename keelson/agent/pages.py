"""A small server of pages, usually on the loopback interface: GET alone, few requests at once, none for long."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from keelson.errors import PortInUseError

LOOPBACK = "127.0.0.1"
NAMES = frozenset(
    {"127.0.0.1", "localhost", "[::1]"}
)  # what a Host header may say: a page of the web cannot name these
ANYHOW = "*"  # among further names: whatever it says
AT_ONCE = 32
SILENCE = 5.0  # seconds without a byte from the client
LONGEST = 15.0  # seconds for a whole request
JSON, TEXT = "application/json", "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """A page."""

    status: HTTPStatus
    body: bytes
    kind: str = TEXT


def as_json(document: object, *, well: bool = True) -> Answer:
    """Return a page of JSON; with status 503 where all is not well."""
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, json.dumps(document, indent=2).encode() + b"\n", JSON)


def refusal(status: HTTPStatus, sentence: str) -> Answer:
    """Return a page that says why there is none."""
    return Answer(status, f"{sentence}\n".encode())


class Pages(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves `pages` (path → what makes the page) on one port, each request in a thread.

    Args:
        port: where to listen; 0 for a free one.
        pages: what there is.
        host: the address to listen on.
        names: by which others than this machine may ask, beside the usual ones.

    Raises:
        PortInUseError: somebody else listens there.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self,
        port: int,
        pages: Mapping[str, Callable[[], Answer]],
        host: str = LOOPBACK,
        names: Collection[str] = (),
    ) -> None:
        self.pages, self.names = pages, NAMES | {name.lower() for name in names}
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        try:
            super().__init__((host, port), _Request)
        except OSError as fault:
            msg = f"cannot listen on {host}:{port}: {fault.strerror}; free it or choose another port"
            raise PortInUseError(msg) from None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def verify_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> bool:  # noqa: ARG002
        """Turn away whoever comes when too many are there."""
        with self._lock:
            if welcome := len(self._open) < AT_ONCE:
                self._open[_socket(request)] = time.monotonic()
        if not welcome:
            with contextlib.suppress(OSError):
                _socket(request).send(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        return welcome

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Forget a request that is done."""
        with self._lock:
            self._open.pop(_socket(request), None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off those who take too long; called every second or so."""
        with self._lock:
            late = [request for request, begun in self._open.items() if time.monotonic() - begun > LONGEST]
        for request in late:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base's signature
        """Write a defect to the log; a client that went away is none."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()


class _Request(BaseHTTPRequestHandler):
    server: Pages
    timeout = SILENCE
    server_version = "keelson"
    sys_version = ""

    def do_GET(self) -> None:
        self._send(self._answer())

    def _refuse(self) -> None:
        self._send(refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered here"))

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815 - http.server's names

    def _answer(self) -> Answer:
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if not {name.lower(), ANYHOW} & self.server.names:
            return refusal(HTTPStatus.MISDIRECTED_REQUEST, f"ask by the name {' or '.join(sorted(self.server.names))}")
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            return refusal(HTTPStatus.NOT_FOUND, f"there are {', '.join(self.server.pages)}")
        try:
            return page()
        except Exception as fault:  # noqa: BLE001 - a defect of one page is told, and ends no thread without an answer
            traceback.print_exc()
            return refusal(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"unexpected {type(fault).__name__}; see `keelson logs agent`"
            )

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Keep requests out of the log."""


def _socket(request: socket.socket | tuple[bytes, socket.socket]) -> socket.socket:
    return request if isinstance(request, socket.socket) else request[1]
