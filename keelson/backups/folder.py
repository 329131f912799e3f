"""The files of one backup: each is hashed while it is written, and again while it is read.

All that engines write and read passes through here, encrypted on its way where the stack says so. Sizes and hashes are those of
what is kept, so anybody can compare them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from keelson.backups import sealing
from keelson.backups.growing import Progress, Tail, Told
from keelson.backups.places import Directory, Place
from keelson.backups.sealing import BLOCK, SUFFIX, Passing
from keelson.errors import DamagedError, KeelsonError

Watch = Callable[[int], None]  # is told how many bytes were written or read


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file of a backup is like, as it is kept."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Seal:
    """Whom new files are encrypted to, nobody where there are no recipients; and what opens those that are."""

    recipients: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()


class Stream:
    """One file that is being written or read from its beginning to its end."""

    def __init__(self, file: IO[bytes] | Tail, watch: Watch) -> None:
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
    """The files of one backup, by the names that engines give them.

    Attributes:
        path: where they are, for messages; its last part is the backup's id.
        files: what each file is like, by the name under which it is kept: those that were written here, or that the manifest names.
    """

    def __init__(
        self,
        place: Place | Path,
        files: Mapping[str, FileFacts] | None = None,
        watch: Watch = lambda _bytes: None,
        seal: Seal = Seal(),
    ) -> None:
        self._place: Place = Directory(place) if isinstance(place, Path) else place
        self.files, self._watch, self.seal = dict(files or {}), watch, seal

    @property
    def path(self) -> PurePath:
        """Where they are."""
        return self._place.path

    @property
    def names(self) -> frozenset[str]:
        """The names that engines know."""
        return frozenset(name.removesuffix(SUFFIX) for name in self.files)

    def facts(self, name: str) -> FileFacts:
        """Return what a file is like; raises DamagedError where there is none."""
        return self._expected(self._kept_as(name))

    @contextmanager
    def create(self, name: str) -> Iterator[Passing]:
        """Give the new file `name`, for this user alone, to be written; at the end of the block it is kept for good.

        Raises:
            BackupError: it cannot be written, for example because the disk is full.
        """
        kept = self._new_name(name)
        with self._place.create(kept) as file:
            stream = Stream(file, self._watch)
            with self._sealed(stream) as outer:
                yield outer
        self.files[kept] = stream.finish()

    def growing(self, name: str) -> Growing:
        """Return the new file `name`, to be written by one thread and read back by another."""
        return Growing(self, name)

    @contextmanager
    def open(self, name: str) -> Iterator[Passing]:
        """Give the file `name` to be read to its end; its size and hash are compared when the block ends, however it ends.

        Raises:
            DamagedError: it is missing, or it is not as the manifest says.
            MissingKeyError: it is encrypted, and no key here opens it.
            BackupError: it cannot be read.
        """
        kept = self._kept_as(name)
        with self._place.open(kept) as (file, size):
            self._refuse_other_size(kept, size)
            with self._compared(kept, file) as outer:
                yield outer

    @contextmanager
    def follow(self, name: str, progress: Progress) -> Iterator[Passing]:
        """Give what is in the new file `name` to be read while it is written, or after that where the place can no sooner.

        Its size and hash are compared as `open` does; what it raises is the same, and what the writing failed with.
        """
        kept = self._new_name(name)
        progress.begun(whole=not self._place.grows)
        with self._place.open(kept) as (file, _), self._compared(kept, Tail(file, progress)) as outer:
            yield outer

    @contextmanager
    def _compared(self, kept: str, file: IO[bytes] | Tail) -> Iterator[Passing]:
        stream = Stream(file, self._watch)
        try:
            with self._opened(stream, kept) as outer:
                yield outer
        except KeelsonError:
            self._refuse_other_content(kept, stream)
            raise
        self._refuse_other_content(kept, stream)

    def _sealed(self, stream: Stream) -> AbstractContextManager[Passing]:
        return sealing.sealed(stream, self.seal.recipients) if self.seal.recipients else nullcontext(stream)

    def _opened(self, stream: Stream, kept: str) -> AbstractContextManager[Passing]:
        if not kept.endswith(SUFFIX):
            return nullcontext(stream)
        return sealing.opened(stream, self.seal.identities, str(self.path / kept))

    def _new_name(self, name: str) -> str:
        return f"{name}{SUFFIX}" if self.seal.recipients else name

    def _kept_as(self, name: str) -> str:
        return f"{name}{SUFFIX}" if f"{name}{SUFFIX}" in self.files else name

    def _refuse_other_content(self, kept: str, stream: Stream) -> None:
        while stream.read():  # what the reader did not want
            pass
        if stream.finish() != self._expected(kept):
            msg = f"{self.path / kept} is damaged: its SHA-256 is not the manifest's; use another backup"
            raise DamagedError(msg)

    def _expected(self, kept: str) -> FileFacts:
        try:
            return self.files[kept]
        except KeyError:
            msg = f"the manifest of {self.path} names no file {kept}; use another backup"
            raise DamagedError(msg) from None

    def _refuse_other_size(self, kept: str, found: int) -> None:
        if found != (expected := self._expected(kept).bytes):
            msg = f"{self.path / kept} is damaged: it has {found} bytes in place of {expected}; use another backup"
            raise DamagedError(msg)


class Growing:
    """A new file of a backup that is read back while it is written."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder, self._name, self._progress = folder, name, Progress()

    @contextmanager
    def written(self) -> Iterator[Passing]:
        """Give it to be written, as `Folder.create` does."""
        try:
            with self._folder.create(self._name) as file:
                self._progress.advance()
                yield Told(file, self._progress)
        except BaseException as fault:
            self._progress.end(fault)
            raise
        self._progress.end()

    def read_back(self) -> AbstractContextManager[Passing]:
        """Give what is kept of it to be read to its end, as `Folder.follow` does."""
        return self._folder.follow(self._name, self._progress)
