"""Where the files of one backup lie, as all that reads and writes them sees it: a directory, or a place in a bucket."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath
from typing import IO, Protocol

from keelson import paths
from keelson.errors import BackupError, DamagedError

MANIFEST = "manifest.json"  # without it, it is no backup
PIN = "pinned.json"  # with it, it is not removed


class MissingError(DamagedError):
    """A file of a backup is not there."""


class Place(Protocol):
    """The place of one backup. All methods raise BackupError with one sentence; what is written there is private."""

    @property
    def path(self) -> PurePath:
        """How messages name it; its last part is the backup's id."""

    @property
    def grows(self) -> bool:
        """Whether a file that is being written can be read."""

    def create(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Give a new file to be written; when the block ends it is there for good, if it ends without an error."""

    def open(self, name: str) -> AbstractContextManager[tuple[IO[bytes], int]]:
        """Give a file to be read, and its size; raises MissingError where it is not there."""

    def note(self, name: str) -> bytes | None:
        """Return a small file that is no part of the backup, such as what a verification found; None where it is missing."""

    def keep_note(self, name: str, text: str | None) -> None:
        """Replace such a file in one step; None removes it."""

    def held(self) -> AbstractContextManager[None]:
        """Keep the backup from being removed while it is read; raises BackupError where it is being removed, or is gone."""

    def remove(self) -> bool:
        """Remove the backup; False says that it stays, as somebody is reading it, or has pinned it."""


class Directory:
    """A directory of its own, mode 0700; see `Place` for what each method is for."""

    grows = True

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Give a new file, mode 0600."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(self.path / name, flags, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            msg = f"cannot write {name} of the backup to {self.path.parent.parent}: {fault.strerror}; make room or give write access"
            raise BackupError(msg) from None

    @contextmanager
    def open(self, name: str) -> Iterator[tuple[IO[bytes], int]]:
        """Give a file to be read."""
        path = self.path / name
        try:
            with path.open("rb") as file:
                yield file, os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            msg = f"{path} is missing; use another backup"
            raise MissingError(msg) from None
        except OSError as fault:
            msg = f"{path} cannot be read: {fault.strerror}; use another backup"
            raise BackupError(msg) from None

    def note(self, name: str) -> bytes | None:
        """Return a note."""
        try:
            return (self.path / name).read_bytes()
        except OSError:
            return None

    def keep_note(self, name: str, text: str | None) -> None:
        """Replace or remove a note."""
        if text is not None:
            paths.write_private(self.path / name, text)
            return
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as fault:
            msg = f"cannot remove {self.path / name}: {fault.strerror}; give write access"
            raise BackupError(msg) from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a lock on the manifest that others may hold too."""
        with opened(self.path / MANIFEST, os.O_RDONLY) as descriptor:
            if descriptor is not None and not locked(descriptor, fcntl.LOCK_SH):
                msg = f"the backup {self.path} is being removed; use another one"
                raise BackupError(msg)
            yield

    def remove(self) -> bool:
        """Hide it in one step, then remove it."""
        with opened(self.path / MANIFEST, os.O_RDWR) as descriptor:
            if descriptor is not None and not locked(descriptor, fcntl.LOCK_EX):
                return False
            if self.note(PIN) is not None:  # since it was chosen
                return False
            hidden = self.path.with_name(f".{self.path.name}.removed")
            try:
                self.path.rename(hidden)
                shutil.rmtree(hidden)
            except OSError as fault:
                msg = f"cannot remove the backup {self.path}: {fault.strerror}; give write access"
                raise BackupError(msg) from None
        return True


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[int | None]:
    """Give an open file to be locked, None where it is missing; the lock ends with the block."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        yield None
        return
    except OSError as fault:
        msg = f"cannot open {path}: {fault.strerror}; give access to it"
        raise BackupError(msg) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def locked(descriptor: int, kind: int) -> bool:
    """Take a lock without waiting, and say whether it was had and the file still has its name."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0
