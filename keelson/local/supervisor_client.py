"""A call to a stack's supervisord: XML-RPC over its control socket."""

from __future__ import annotations

import http.client
import os
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any

from keelson.errors import ServerError
from keelson.local.supervisor_files import STOP_SECONDS, own_log, socket_path


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fsencode(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()
        self._path = path
        self._seconds = seconds

    def make_connection(self, host: object) -> http.client.HTTPConnection:  # noqa: ARG002  # there is one host
        connection = _Connection(self._path, self._seconds)
        self._connection = ("localhost", connection)  # what `close` closes
        return connection


def call(
    key: str, method: str, *arguments: object, ignore: tuple[int, ...] = (), seconds: float = STOP_SECONDS + 10
) -> Any:  # noqa: ANN401  # XML-RPC's values
    """Call a method of supervisor's; a fault whose number stands in `ignore` gives None.

    Raises:
        ServerError: supervisord refuses, or does not answer.
    """
    transport = _Transport(socket_path(key), seconds)
    try:
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode in ignore:
            return None
        about = f" {arguments[0]}" if arguments else ""
        msg = f"supervisord of {key} refused {method}{about} ({fault.faultString}); see {own_log(key)}"
        raise ServerError(msg) from None
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as fault:
        msg = f"supervisord of {key} does not answer on {socket_path(key)} ({fault}); run `keelson start`"
        raise ServerError(msg) from None
