"""Encryption of a backup's files by age, as they pass: nothing is held whole, and nothing lies on the disk in clear.

age's library reads from one end and writes to another, so it has a thread of its own, and a pipe to it. What it wrote opens with
`age --decrypt --identity FILE` as well.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Protocol

from keelson.errors import BackupError, DamagedError

SUFFIX = ".age"
BLOCK = (
    1 << 16
)  # bytes that are read at once: larger ones cost the kernel more, for memory that is new each time, than they save
PIPE = 1 << 20  # bytes that a pipe holds


class Passing(Protocol):
    """What bytes pass through, one way or the other."""

    def write(self, block: bytes) -> None:
        """Take the next bytes."""

    def read(self, size: int = BLOCK) -> bytes:
        """Return at most `size` of the next bytes; none at the end."""


class MissingKeyError(BackupError):
    """No key at hand opens the backup."""


def refuse_recipient(text: str) -> None:
    """Raise ValueError where `text` is no recipient of age's that a stack can write to."""
    from pyrage import RecipientError, x25519  # noqa: PLC0415 - slow, and most commands do without

    try:
        x25519.Recipient.from_str(text)
    except RecipientError:
        msg = f"{text!r} is no recipient of age; write the public key that `age-keygen` prints, age1…"
        raise ValueError(msg) from None


@contextmanager
def sealed(below: Passing, recipients: Sequence[str]) -> Iterator[Passing]:
    """Give what takes bytes in clear, and writes them encrypted to `below`; all of it is there when the block ends."""
    from pyrage import encrypt_io, x25519  # noqa: PLC0415 - as above

    to = [x25519.Recipient.from_str(text) for text in recipients]
    taken, given = _pipe()
    sink = _Sink(below)
    worker = _Worker(lambda: sink.told(lambda: encrypt_io(taken, sink, to)), taken)
    stream = _Sealing(given, worker)
    try:
        yield stream
    except BaseException:
        _close(given)
        worker.join()
        raise
    _close(given)
    worker.finish()


@contextmanager
def opened(below: Passing, identities: Sequence[str], what: str) -> Iterator[Passing]:
    """Give what reads the bytes of `below` in clear; after the block all of it was read, as far as that is possible.

    Raises:
        MissingKeyError: none of the identities opens it.
        DamagedError: it is not as age wrote it.
    """
    from pyrage import DecryptError, decrypt_io, x25519  # noqa: PLC0415 - as above

    by = [x25519.Identity.from_str(text) for text in identities]
    taken, given = _pipe()
    source = _Source(below)

    def work() -> None:
        try:
            source.told(lambda: decrypt_io(source, given, by))
        except (DecryptError, OSError) as fault:
            raise source.fault or _reason(str(fault), what) from None

    worker = _Worker(work, given)
    stream = _Opening(taken, worker)
    try:
        yield stream
        while stream.read():  # what the reader did not want
            pass
    finally:
        _close(taken)
        worker.join()


def _reason(said: str, what: str) -> BackupError:
    if "No matching keys" in said:
        return MissingKeyError(missing_key(what))
    return DamagedError(f"{what} is damaged: age cannot decrypt it ({said}); use another backup")


def missing_key(what: str) -> str:
    """Return that no key opens `what`."""
    return f"{what} is encrypted, and no key of this stack opens it; give the key of one of its recipients with --identity FILE"


class _Worker:
    """age's library at work in a thread; `end` is its end of the pipe."""

    def __init__(self, work: Callable[[], None], end: IO[bytes]) -> None:
        self._work, self._end = work, end
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="age", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def finish(self) -> None:
        """Wait for the end; raises what went wrong."""
        self._thread.join()
        if self._fault:
            raise self._fault

    def _run(self) -> None:
        try:
            self._work()
            self._end.flush()
        except BaseException as fault:  # noqa: BLE001 - raised where the stream is used
            self._fault = fault
        _close(self._end)


class _Sealing:
    """What the user of `sealed` writes to."""

    def __init__(self, given: IO[bytes], worker: _Worker) -> None:
        self._given, self._worker = given, worker

    def write(self, block: bytes) -> None:
        try:
            self._given.write(block)
        except BrokenPipeError:
            self._worker.finish()
            raise

    def read(self, size: int = BLOCK) -> bytes:
        raise NotImplementedError


class _Opening:
    """What the user of `opened` reads from."""

    def __init__(self, taken: IO[bytes], worker: _Worker) -> None:
        self._taken, self._worker = taken, worker

    def write(self, block: bytes) -> None:
        raise NotImplementedError

    def read(self, size: int = BLOCK) -> bytes:
        block = self._taken.read(size)
        if not block:
            self._worker.finish()  # which tells an end from a fault
        return block


class _Below:
    """A file as age's library uses it; it makes errors of its own of all that goes wrong there, so what it was is kept here."""

    def __init__(self, below: Passing) -> None:
        self._below = below
        self.fault: Exception | None = None

    def told(self, work: Callable[[], None]) -> None:
        """Do the work, and raise what went wrong below in place of what the library makes of it."""
        try:
            work()
        except Exception:
            if self.fault:
                raise self.fault from None
            raise

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except Exception as fault:
            self.fault = fault
            raise


class _Sink(_Below):
    def write(self, block: bytes) -> int:
        with self._kept():
            self._below.write(block)
        return len(block)

    def flush(self) -> None:
        """Nothing waits here."""


class _Source(_Below):
    """It is read in small pieces."""

    _rest = memoryview(b"")

    def read(self, size: int = BLOCK) -> bytes:
        if not self._rest:
            with self._kept():
                self._rest = memoryview(self._below.read())
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    taken, given = os.pipe()
    widen(taken)
    return os.fdopen(taken, "rb", buffering=BLOCK), os.fdopen(given, "wb", buffering=BLOCK)


def widen(pipe: int) -> None:
    """Let a pipe hold more than its 64 KiB, so that those at its ends wait for each other less often."""
    with suppress(OSError):  # an ordinary user may have no more
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)


def _close(end: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        end.close()
