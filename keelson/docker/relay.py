"""Connections to parts of a stack where no port can be reached: through a process in its toolbox, one for each."""

from __future__ import annotations

import functools
import socket

from keelson.containers.toolbox import PYTHON
from keelson.docker import toolbox
from keelson.errors import KeelsonError
from keelson.inside import listener, relay

LOOPBACK = listener.LOOPBACK


def port(place: str, key: str, host: str, inner: int) -> int:
    """Return a port of this machine that leads to `host` and its port `inner` on the stack's network."""
    return listener.port((place, key, host, inner), functools.partial(_serve, place, key, host, inner))


def _serve(place: str, key: str, host: str, inner: int, client: socket.socket) -> None:
    """Carry one connection; one that cannot be made ends at once."""
    try:
        stream = toolbox.stream(place, key, [*PYTHON, relay.__name__, host, str(inner)])
    except (KeelsonError, OSError):  # who connected sees the end, and the target says why
        return
    listener.carry(client, stream)
