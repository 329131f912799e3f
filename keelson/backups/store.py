"""Where backups lie: `<directory>/<stack key>/<database>/<id>/`, each with a manifest; and the locks on them.

A name that starts with a dot is no backup: one that is being written or removed, or what a killed process left of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from keelson import paths
from keelson.agent.jobs import Job
from keelson.backups import manifest as manifests
from keelson.backups.folder import Folder, Watch
from keelson.backups.manifest import Manifest
from keelson.errors import BackupError, KeelsonError

LOCK = ".lock"
CHECK = "verified.json"  # what later verifications found
ID_FORMAT = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Backup:
    """One backup; its manifest is read when it is asked for."""

    path: Path

    @property
    def id(self) -> str:
        """Its name; later ones sort later."""
        return self.path.name

    @cached_property
    def manifest(self) -> Manifest:
        """Its manifest; raises BackupError."""
        return manifests.read(self.path)

    @property
    def begun(self) -> datetime:
        """When it was begun; what the id says where the manifest cannot be read."""
        try:
            return self.manifest.begun
        except BackupError:
            return _time_of(self.id)

    @property
    def fault(self) -> str:
        """Why it does not count as a good one; nothing for one that does."""
        try:
            return self._checked().get("fault", "") if self.manifest else ""
        except KeelsonError as fault:
            return str(fault)

    @property
    def verified(self) -> datetime | None:
        """When it was last read back and was well; None for one that is not."""
        if self.fault:
            return None
        at = self._checked().get("at")
        return datetime.fromisoformat(at) if at else self.manifest.ended

    def folder(self, watch: Watch = lambda _bytes: None) -> Folder:
        """Return its files, for reading; `watch` is told how many bytes were read."""
        return Folder(self.path, self.manifest.files, watch)

    def note(self, fault: str = "") -> None:
        """Keep what a verification found, where one may write."""
        with contextlib.suppress(KeelsonError):
            entry = {"at": datetime.now(UTC).isoformat(), "fault": fault}
            paths.write_private(self.path / CHECK, json.dumps(entry) + "\n")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep it from being removed while it is read; several may hold it.

        Raises:
            BackupError: it is being removed, or is gone.
        """
        with _opened(self.path / manifests.NAME, os.O_RDONLY) as descriptor:
            if descriptor is not None and not _locked(descriptor, fcntl.LOCK_SH):
                msg = f"the backup {self.path} is being removed; use another one"
                raise BackupError(msg)
            yield

    def remove(self) -> bool:
        """Remove it; False says that somebody is reading it, so it stays."""
        with _opened(self.path / manifests.NAME, os.O_RDWR) as descriptor:
            if descriptor is not None and not _locked(descriptor, fcntl.LOCK_EX):
                return False
            hidden = self.path.with_name(f".{self.id}.removed")
            try:
                self.path.rename(hidden)
                shutil.rmtree(hidden)
            except OSError as fault:
                msg = f"cannot remove the backup {self.path}: {fault.strerror}; give write access"
                raise BackupError(msg) from None
        return True

    def _checked(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.path / CHECK).read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}


class Store:
    """The backups of one stack.

    Args:
        key: the stack's key.
        directory: the settings' backup.directory; below the user's data directory where it is None.
    """

    def __init__(self, key: str, directory: Path | None = None) -> None:
        self.key, self.directory = key, (directory or paths.data() / "backups") / key

    @classmethod
    def of_job(cls, job: Job) -> Store:
        """Return the backups among which those that `job` makes lie."""
        directory = job.settings.get("directory")
        return cls(job.reference.stack, Path(directory) if directory else None)

    def names(self) -> list[str]:
        """Return the databases and Redis of which there are backups, those too that the settings no longer name."""
        return sorted(path.name for path in _entries(self.directory) if self.all(path.name))

    def all(self, name: str) -> list[Backup]:
        """Return the backups of `name`, the newest first; no manifest is read."""
        found = (path for path in _entries(self.directory / name) if _ID.fullmatch(path.name))
        return [Backup(path) for path in sorted(found, reverse=True)]

    def last(self, name: str) -> Backup | None:
        """Return the newest good backup of `name`, or None where there is none."""
        return next((backup for backup in self.all(name) if not backup.fault), None)

    def find(self, name: str, identity: str | None = None) -> Backup:
        """Return the backup `identity`, the newest good one where that is None; raises BackupError."""
        if identity is None and (last := self.last(name)):
            return last
        every = self.all(name)
        for backup in every:
            if backup.id == identity:
                return backup
        what = f"backup {identity} of {name}" if identity else f"good backup of {name}"
        known = ", ".join(backup.id for backup in every[:3]) or f"none; run `keelson backup run {name}`"
        msg = f"there is no {what} under {self.directory}; the newest are: {known}"
        raise BackupError(msg)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Hold the one right to write and remove backups of `name`, and clear what a killed process left.

        Raises:
            BackupError: another process has it.
        """
        folder = paths.private_directory(self.directory / name)
        with _opened(folder / LOCK, os.O_RDWR | os.O_CREAT) as descriptor:
            if descriptor is None or not _locked(descriptor, fcntl.LOCK_EX):
                raise BackupError(self._who_writes(name))
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} since {datetime.now(UTC):%H:%M:%S} UTC".encode())
            for path in folder.glob(".*"):
                if path.name != LOCK:
                    shutil.rmtree(path, ignore_errors=True)
            yield folder

    def new_id(self, name: str, now: datetime) -> str:
        """Return the id of a backup that begins now: later than all that are there, whatever the clock says."""
        after = [_time_of(backup.id) + timedelta(seconds=1) for backup in self.all(name)[:1]]
        return f"{max([now, *after]):{ID_FORMAT}}"

    def _who_writes(self, name: str) -> str:
        who = ""
        with contextlib.suppress(OSError):
            who = (self.directory / name / LOCK).read_text(encoding="utf-8")
        return f"{who or 'another process'} is at work on the backups of {name}; wait for its end"


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as fault:
        msg = f"cannot list the backups in {folder}: {fault.strerror}; mount it or give access"
        raise BackupError(msg) from None


def _time_of(identity: str) -> datetime:
    try:
        return datetime.strptime(identity, ID_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int | None]:
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


def _locked(descriptor: int, kind: int) -> bool:
    """Take a lock without waiting, and say whether it was had and the file still has its name."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0
