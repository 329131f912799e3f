"""Runs a command of Keelson inside: `python3 -I -m keelson.inside.run ARGUMENT…`, with standard output, error and status as they are.

Its input comes in blocks as `keelson.inside.relay` reads them. When that ends, whoever asked is gone, and the command is ended.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from typing import IO

from keelson.inside.relay import LENGTH

SECONDS_TO_END = 20.0  # after SIGTERM: what was begun is cleared away meanwhile


def main(argv: list[str]) -> int:
    """Run the command to its end; return its exit status."""
    with subprocess.Popen([sys.executable, "-I", "-m", "keelson", *argv], stdin=subprocess.PIPE) as process:
        threading.Thread(target=_feed, args=(process,), daemon=True).start()
        return _status(process.wait())


def _feed(process: subprocess.Popen[bytes]) -> None:
    """Hand on what comes, without a buffer that would be locked when this process ends."""
    pipe, source = process.stdin, open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - it lives as long as the process
    while pipe and len(length := _exactly(source, LENGTH)) == LENGTH:
        with contextlib.suppress(OSError, ValueError):  # the command ended, or wants no more
            if block := _exactly(source, int.from_bytes(length, "big")):
                pipe.write(block)
                pipe.flush()
            else:
                pipe.close()
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()


def _exactly(source: IO[bytes], size: int) -> bytes:
    found = b""
    while len(found) < size and (block := source.read(size - len(found))):
        found += block
    return found


def _status(code: int) -> int:
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
