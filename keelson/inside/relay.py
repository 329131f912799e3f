"""One connection of the stack's network on standard input and output: `python3 -I -m keelson.inside.relay HOST PORT`.

What it reads comes in blocks, each after its length in four bytes; an empty one says that no more follows. For not every way to a
container carries the end of one direction alone. What it writes is as it came.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from typing import IO

BLOCK = 65536
SECONDS = 10  # until the other side must have answered
LENGTH = 4  # bytes


def framed(block: bytes) -> bytes:
    """Return a block as the process reads it."""
    return len(block).to_bytes(LENGTH, "big") + block


def main(argv: list[str]) -> int:
    """Carry one connection and end the process; return an exit status where there is none."""
    host, port = argv
    try:
        server = socket.create_connection((host, int(port)), timeout=SECONDS)
    except OSError as fault:
        sys.stderr.write(f"{host}:{port} does not answer: {fault}\n")
        return 1
    server.settimeout(None)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=_up, args=(sys.stdin.buffer, server), daemon=True).start()
    with contextlib.suppress(OSError):
        while block := server.recv(BLOCK):
            _write(block)
    os._exit(0)  # at once: the thread waits for input that need not come


def _up(source: IO[bytes], server: socket.socket) -> None:
    """Hand on what comes; where the asking side is gone without a word, end the connection altogether."""
    with contextlib.suppress(OSError):
        while length := source.read(LENGTH):
            if not (size := int.from_bytes(length, "big")):
                server.shutdown(socket.SHUT_WR)
                continue
            server.sendall(source.read(size))
        server.shutdown(socket.SHUT_RDWR)


def _write(block: bytes) -> None:
    while block:
        block = block[os.write(1, block) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
