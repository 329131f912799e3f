"""The files of one backup: each is hashed while it is written, and again while it is read.

All that engines write and read passes through here, so a filter (encryption, for one) has one place.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keelson.errors import BackupError, DamagedError, KeelsonError

BLOCK = 1 << 20  # bytes

Watch = Callable[[int], None]  # is told how many bytes were written or read


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file of a backup is like."""

    sha256: str
    bytes: int


class Stream:
    """One file that is being written or read from its beginning to its end."""

    def __init__(self, file: IO[bytes], watch: Watch) -> None:
        self._file, self._watch = file, watch
        self._digest, self._bytes = hashlib.sha256(), 0

    def write(self, block: bytes) -> None:
        """Write the next bytes."""
        self._file.write(block)
        self._count(block)

    def read(self, size: int = BLOCK) -> bytes:
        """Return at most `size` of the next bytes; none at the end."""
        block = self._file.read(size)
        self._count(block)
        return block

    def finish(self) -> FileFacts:
        """Return what has passed."""
        return FileFacts(self._digest.hexdigest(), self._bytes)

    def _count(self, block: bytes) -> None:
        self._digest.update(block)
        self._bytes += len(block)
        self._watch(len(block))


class Folder:
    """The directory of one backup.

    Attributes:
        path: the directory, mode 0700.
        files: what each file is like: those that were written here, or those that the manifest names.
    """

    def __init__(
        self, path: Path, files: Mapping[str, FileFacts] | None = None, watch: Watch = lambda _bytes: None
    ) -> None:
        self.path, self.files, self._watch = path, dict(files or {}), watch

    @contextmanager
    def create(self, name: str) -> Iterator[Stream]:
        """Give the new file `name`, mode 0600, to be written; at the end of the block it is on the disk.

        Raises:
            BackupError: it cannot be written, for example because the disk is full.
        """
        path = self.path / name
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                stream = Stream(file, self._watch)
                yield stream
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            msg = f"cannot write {name} of the backup to {path.parent.parent}: {fault.strerror}; make room or give write access"
            raise BackupError(msg) from None
        self.files[name] = stream.finish()

    @contextmanager
    def open(self, name: str) -> Iterator[Stream]:
        """Give the file `name` to be read to its end; its size and hash are compared when the block ends, however it ends.

        Raises:
            DamagedError: it is missing, or it is not as the manifest says.
            BackupError: it cannot be read.
        """
        path = self.path / name
        try:
            with path.open("rb") as file:
                self._refuse_other_size(path, os.fstat(file.fileno()).st_size)
                stream = Stream(file, self._watch)
                try:
                    yield stream
                except KeelsonError:
                    self._refuse_other_content(path, stream)
                    raise
                self._refuse_other_content(path, stream)
        except FileNotFoundError:
            msg = f"{path} is missing; use another backup"
            raise DamagedError(msg) from None
        except OSError as fault:
            msg = f"{path} cannot be read: {fault.strerror}; use another backup"
            raise BackupError(msg) from None

    def _refuse_other_content(self, path: Path, stream: Stream) -> None:
        while stream.read():  # what the reader did not want
            pass
        if stream.finish() != self._expected(path):
            msg = f"{path} is damaged: its SHA-256 is not the manifest's; use another backup"
            raise DamagedError(msg)

    def _expected(self, path: Path) -> FileFacts:
        try:
            return self.files[path.name]
        except KeyError:
            msg = f"the manifest of {path.parent} names no file {path.name}; use another backup"
            raise DamagedError(msg) from None

    def _refuse_other_size(self, path: Path, found: int) -> None:
        if found != (expected := self._expected(path).bytes):
            msg = f"{path} is damaged: it has {found} bytes in place of {expected}; use another backup"
            raise DamagedError(msg)
