"""The little of Redis's protocol that a look at a Redis takes: its library would cost `keelson status` a quarter of a second."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from keelson.target import Address

Reply: TypeAlias = "str | int | list[Reply] | None"

PLAIN = (b"+", b"-")  # what an answer in clear begins with


class RefusedError(Exception):
    """Redis answered with an error, which is the text."""

    @property
    def code(self) -> str:
        """The first word, such as WRONGPASS or LOADING."""
        return str(self).partition(" ")[0]


class Conversation:
    """Commands and their replies, each within `seconds`, or TimeoutError."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._seconds, self._deadline = connection, seconds, 0.0
        self._received = b""

    def ask(self, *words: str) -> Reply:
        """Send one command and return its reply; raises RefusedError, or OSError when there is no conversation any more."""
        self._deadline = time.monotonic() + self._seconds
        encoded = [word.encode() for word in words]
        text = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
        self._connection.settimeout(self._left())
        self._connection.sendall(b"*%d\r\n%s" % (len(words), text))
        return self._reply()

    def info(self, *sections: str) -> dict[str, str]:
        """Return what INFO tells, by name; all of it where no section is named; raises as `ask` does."""
        lines = str(self.ask("INFO", *sections)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _reply(self) -> Reply:
        kind, rest = (line := self._line())[:1], line[1:]
        if kind == "-":
            raise RefusedError(rest)
        if kind == "+":
            return rest
        size = int(rest)
        if kind == "$":
            return None if size < 0 else self._take(size + 2)[:-2].decode(errors="replace")
        return [self._reply() for _ in range(size)] if kind == "*" else size

    def _line(self) -> str:
        while b"\r\n" not in self._received:
            self._receive()
        line, _, self._received = self._received.partition(b"\r\n")
        return line.decode(errors="replace")

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._receive()
        taken, self._received = self._received[:size], self._received[size:]
        return taken

    def _receive(self) -> None:
        self._connection.settimeout(self._left())
        if not (block := self._connection.recv(65_536)):
            msg = "it hung up"
            raise ConnectionResetError(msg)
        self._received += block

    def _left(self) -> float:
        if (left := self._deadline - time.monotonic()) <= 0:
            raise TimeoutError
        return left


@contextmanager
def conversation(address: Address, user: str, password: str, seconds: float) -> Iterator[Conversation]:
    """Log in to a Redis; where the address has a certificate, nothing is said before it was verified by that.

    Raises:
        RefusedError: it does not let the user in.
        OSError: nobody answers, not in time, or somebody who is not whom the address names.
    """
    with _connected(address, seconds) as connection:
        found = Conversation(connection, seconds)
        found.ask("AUTH", user, password)
        yield found


def speaks_plainly(address: Address, seconds: float) -> bool | None:
    """Say whether what answers there does so in clear; None where nobody answers in time."""
    try:
        with socket.create_connection((address.host, address.port), timeout=seconds) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(1) in PLAIN
    except ConnectionResetError:
        return False
    except OSError:
        return None


def is_unverified(fault: OSError) -> bool:
    """Say whether a conversation came to nothing as the certificate has ended, is another's, or another authority's."""
    return bool(getattr(fault, "verify_code", 0))


def _connected(address: Address, seconds: float) -> socket.socket:
    if address.root_certificate is None:
        return socket.create_connection((address.host, address.port), timeout=seconds)
    import ssl  # noqa: PLC0415 - not every Redis needs it

    known, failed = ssl.create_default_context(cafile=str(address.root_certificate)), OSError("it has no address")
    for family, kind, protocol, _, place in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
        # Wrapped before it is connected: a connection that ends meanwhile would leave a socket open that nobody has.
        connection = known.wrap_socket(socket.socket(family, kind, protocol), server_hostname=address.host)
        connection.settimeout(seconds)
        try:
            connection.connect(place)
        except OSError as fault:
            connection.close()
            failed = fault
        else:
            return connection
    raise failed
