"""Runs a command of Keelson in a stack's toolbox as if it ran here: with this process's terminal, streams and exit status."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sys
import tarfile
import termios
import threading
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from keelson.containers.model import DATA_PATH
from keelson.containers.toolbox import PYTHON
from keelson.errors import PlatformError
from keelson.inside import relay
from keelson.inside import run as runner
from keelson.inside.stream import STDERR, ExecStream

INTERRUPT, END_OF_INPUT = b"\x03", b"\x04"  # as keys
_BLOCK = 65536
_BETWEEN_KEYS, _LAST_WORDS = 0.5, 20.0  # seconds
_GIVEN = f"{DATA_PATH}/keelson"  # beside the backups, on their volume


class Toolbox(Protocol):
    """A stack's toolbox, on its platform."""

    def ask(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        """Return what an operation of `keelson.inside.operations` answers in there."""

    def stream(
        self, command: Sequence[str], *, terminal: bool = False, environment: Mapping[str, str] | None = None
    ) -> ExecStream:
        """Start a process in there, which sees the stack's state as it is now."""

    def unpack(self, archive: Iterator[bytes], directory: str) -> None:
        """Write the files of a tar archive below a directory in there; raises PlatformError."""


def run(toolbox: Toolbox, arguments: Sequence[str | Path], *, reads: bool) -> int:
    """Run the command to its end and return its exit status.

    Args:
        toolbox: where.
        arguments: of `keelson`; a Path is a directory or file of this machine that is there for as long as the command runs.
        reads: whether it reads standard input.

    Raises:
        UnreachableError: the toolbox does not run.
        PlatformError: the platform is gone, or a directory cannot be copied.
        KeyboardInterrupt: the command was interrupted, and ends.
    """
    with ExitStack() as given:
        words = [each if isinstance(each, str) else given.enter_context(_copied(toolbox, each)) for each in arguments]
        if sys.stdin.isatty() and sys.stdout.isatty():
            return _in_terminal(toolbox, words)
        return _in_pipes(toolbox, words, reads=reads)


def _in_pipes(toolbox: Toolbox, arguments: Sequence[str], *, reads: bool) -> int:
    stream = toolbox.stream([*PYTHON, runner.__name__, *arguments])
    try:
        if reads:
            threading.Thread(target=_feed, args=(stream,), daemon=True).start()
        else:
            stream.write(relay.framed(b""))
        for number, block in _blocks(stream):
            out = sys.stderr.buffer if number == STDERR else sys.stdout.buffer
            out.write(block)
            out.flush()
        return stream.status()
    finally:
        stream.close()  # which ends the command, if it has not ended


def _in_terminal(toolbox: Toolbox, arguments: Sequence[str]) -> int:
    variables = {"TERM": os.environ.get("TERM", "dumb")}
    stream = toolbox.stream([*PYTHON, "keelson", *arguments], terminal=True, environment=variables)
    try:
        with _hanging_up(stream), _raw_terminal(), _resized(stream):
            threading.Thread(target=_type, args=(stream,), daemon=True).start()
            for _, block in _blocks(stream):
                os.write(1, block)
        return stream.status()
    finally:
        stream.close()


def _blocks(stream: ExecStream) -> Iterator[tuple[int, bytes]]:
    while (found := stream.read_any())[1]:
        yield found


def _feed(stream: ExecStream) -> None:
    with contextlib.suppress(OSError, ValueError):
        while block := os.read(0, _BLOCK):
            stream.write(relay.framed(block))
        stream.write(relay.framed(b""))


def _type(stream: ExecStream) -> None:
    with contextlib.suppress(OSError, ValueError):
        while block := os.read(0, _BLOCK):
            stream.write(block)


@contextmanager
def _hanging_up(stream: ExecStream) -> Iterator[None]:
    """Where this terminal goes, let the inner command end: its own terminal stays, so it reads an interrupt and an end of input."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    except SystemExit:
        _let_end(stream)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _let_end(stream: ExecStream) -> None:
    """Interrupt the inner command and end its input, until it has ended: an end that comes before it reads lines is lost on it."""
    ended = threading.Event()

    def drain() -> None:
        with contextlib.suppress(OSError, ValueError, PlatformError):  # the connection is gone too
            for _ in _blocks(stream):
                pass
        ended.set()

    threading.Thread(target=drain, daemon=True).start()
    until = time.monotonic() + _LAST_WORDS
    with contextlib.suppress(OSError):  # it has ended
        stream.write(INTERRUPT)
        while not ended.is_set() and time.monotonic() < until:
            stream.write(END_OF_INPUT)
            ended.wait(_BETWEEN_KEYS)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Hand each key on as it is struck, Ctrl-C too; as before in the end."""
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextmanager
def _resized(stream: ExecStream) -> Iterator[None]:
    """Keep the inner terminal as large as this one."""

    def tell(*_: object) -> None:
        size = shutil.get_terminal_size()
        with contextlib.suppress(Exception):  # a process that has just ended has no terminal
            stream.resize(size.lines, size.columns)

    before = signal.signal(signal.SIGWINCH, tell)
    try:
        tell()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def _copied(toolbox: Toolbox, directory: Path) -> Iterator[str]:
    """Copy a directory or a file into the toolbox under its own name, and give its path there; in the end it is removed."""
    own = f"incoming-{secrets.token_hex(6)}"
    found = directory.resolve()
    user = toolbox.ask("make_incoming", name=own)
    try:
        toolbox.unpack(_archived(found, user), f"{_GIVEN}/{own}")
        yield f"{_GIVEN}/{own}/{found.name}"
    finally:
        toolbox.ask("remove_incoming", name=own)


def _archived(directory: Path, user: int) -> Iterator[bytes]:
    """Give the files of a directory as an archive, block by block, readable by `user` alone."""
    reader, writer = os.pipe()
    with ThreadPoolExecutor(1) as pool, os.fdopen(reader, "rb") as source:
        written = pool.submit(_archive, directory, user, writer)
        while block := source.read(_BLOCK):
            yield block
        written.result()


def _archive(directory: Path, user: int, writer: int) -> None:
    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = user
        entry.mode = 0o700 if entry.isdir() else 0o600
        return entry

    try:
        with os.fdopen(writer, "wb") as pipe, tarfile.open(fileobj=pipe, mode="w|") as archive:
            archive.add(directory, directory.name, filter=owned)
    except OSError as fault:
        msg = f"cannot copy {directory} into the toolbox: {fault.strerror}; name a backup's directory"
        raise PlatformError(msg) from None
