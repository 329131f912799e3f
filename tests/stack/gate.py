"""A gate before a cluster's API: what goes through it is cut off at any moment, as by a network or an API server that is down."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 65536


class Gate:
    """Carries connections to a server while it is open; one that is shut refuses new ones and drops those that there are."""

    def __init__(self, host: str, port: int) -> None:
        self._aim = (host, port)
        self._listener: socket.socket | None = None
        self._carried: list[socket.socket] = []
        self._lock = threading.Lock()
        self.port = 0

    def open(self) -> None:
        """Let connections through, by the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Drop all connections, and refuse new ones."""
        with self._lock:
            listener, self._listener = self._listener, None
            left, self._carried = self._carried, []
        for each in [*([listener] if listener else []), *left]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is shut
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._carry, args=(listener, client), daemon=True).start()

    def _carry(self, listener: socket.socket, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError), socket.create_connection(self._aim) as server:
            with self._lock:
                if listener is not self._listener:
                    return
                self._carried += [client, server]
            others = {client: server, server: client}
            while ready := select.select([*others], [], [])[0]:
                for each in ready:
                    block = each.recv(_BLOCK)
                    if not block:
                        return
                    others[each].sendall(block)


@contextlib.contextmanager
def gate(kubeconfig: Path, file: Path) -> Iterator[Gate]:
    """Give an open gate before a cluster, to which the kubeconfig `file` leads; it is shut in the end."""
    text = kubeconfig.read_text()
    found = re.search(r"https://([\d.]+):(\d+)", text)
    assert found, f"{kubeconfig} names no server"
    made = Gate(found[1], int(found[2]))
    made.open()
    try:
        file.write_text(text.replace(found[0], f"https://127.0.0.1:{made.port}"))
        yield made
    finally:
        made.shut()
