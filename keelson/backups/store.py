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
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path, PurePath

from keelson import paths
from keelson.agent.jobs import Job
from keelson.backups import keys, terms
from keelson.backups import manifest as manifests
from keelson.backups.bucket import Storage
from keelson.backups.folder import Folder, Seal, Watch
from keelson.backups.keys import Keys
from keelson.backups.manifest import Manifest
from keelson.backups.places import PIN, Directory, Place, locked, opened
from keelson.backups.sealing import MissingKeyError, missing_key
from keelson.backups.terms import SECRET, Terms
from keelson.errors import BackupError, DamagedError, KeelsonError, ServerError
from keelson.local.registry import Registry

LOCK = ".lock"
PARTIAL = ".partial"
CHECK = "verified.json"  # what later verifications found
ID_FORMAT = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Backup:
    """One backup; its manifest is read when it is asked for.

    Attributes:
        place: where it lies; a path is one of a directory.
        keys: what its signature is held against, and what opens it.
        name: whose backup it must be, by where it lies; empty for one that was brought from elsewhere.
    """

    place: Place | Path
    keys: Keys = field(default_factory=Keys, compare=False, repr=False)
    name: str = field(default="", compare=False)

    @property
    def path(self) -> PurePath:
        """Where it lies, for messages; a directory's path where it is one."""
        return self._place.path

    @property
    def id(self) -> str:
        """Its name; later ones sort later."""
        return self.path.name

    @property
    def manifest(self) -> Manifest:
        """Its manifest; raises BackupError."""
        return self._read[0]

    @property
    def remark(self) -> str:
        """What a reader should know of its signature; nothing where that is the stack's. Raises BackupError."""
        return self._read[1]

    @property
    def begun(self) -> datetime:
        """When it was begun; what the id says where the manifest cannot be read."""
        try:
            return self.manifest.begun
        except BackupError:
            return time_of(self.id)

    @property
    def fault(self) -> str:
        """Why it does not count as a good one; nothing for one that does."""
        try:
            return self._checked.get("fault", "") if self.manifest else ""
        except KeelsonError as fault:
            return str(fault)

    @property
    def verified(self) -> datetime | None:
        """When it was last read back and was well; None for one that is not."""
        if self.fault:
            return None
        at = self._checked.get("at")
        return datetime.fromisoformat(at) if at else self.manifest.ended

    def folder(self, watch: Watch = lambda _bytes: None) -> Folder:
        """Return its files, for reading; `watch` is told how many bytes were read.

        Raises:
            MissingKeyError: they are encrypted, and no key here opens them.
        """
        recipients = self.manifest.recipients
        if recipients and not {*recipients} & {*self.keys.recipients}:
            raise MissingKeyError(missing_key(f"the backup {self.path}"))
        return Folder(self._place, self.manifest.files, watch, Seal(identities=self.keys.identities))

    @property
    def pinned(self) -> str:
        """Why it is never removed by its age; nothing for one that may go."""
        found = self._place.note(PIN)
        return _reason(found) if found is not None else ""

    def pin(self, reason: str) -> None:
        """Keep it however old it is, until `unpin`; raises KeelsonError where it is going, or one may not write there."""
        with self.held():
            _ = self.manifest
            entry = {"at": datetime.now(UTC).isoformat(), "reason": reason}
            self._place.keep_note(PIN, json.dumps(entry, ensure_ascii=False) + "\n")

    def unpin(self) -> None:
        """Let it go by its age again."""
        self._place.keep_note(PIN, None)

    def note(self, fault: str = "") -> None:
        """Keep what a verification found, where one may write."""
        with contextlib.suppress(KeelsonError):
            entry = {"at": datetime.now(UTC).isoformat(), "fault": fault}
            self._place.keep_note(CHECK, json.dumps(entry) + "\n")

    def held(self) -> AbstractContextManager[None]:
        """Keep it from being removed while it is read; several may hold it.

        Raises:
            BackupError: it is being removed, or is gone.
        """
        return self._place.held()

    def remove(self) -> bool:
        """Remove it; False says that it stays, as somebody is reading it, or has pinned it."""
        return self._place.remove()

    @cached_property
    def _place(self) -> Place:
        return Directory(self.place) if isinstance(self.place, Path) else self.place

    @cached_property
    def _read(self) -> tuple[Manifest, str]:
        found, remark = manifests.read(self._place, self.keys)
        if self.name and (found.database, found.id) != (self.name, self.id):
            msg = f"{self.path} holds the backup {found.id} of {found.database}, so somebody moved it; move it back, or use another one"
            raise DamagedError(msg)
        return found, remark

    @property
    def _checked(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._place.note(CHECK) or b"{}"))
        except (ValueError, TypeError):
            return {}


def _reason(text: bytes) -> str:
    try:
        return str(json.loads(text)["reason"])
    except (ValueError, KeyError, TypeError):
        return "pinned"


class Store:
    """The backups of one stack.

    Args:
        key: the stack's key.
        directory: the settings' backup.directory; below the user's data directory where it is None.
        terms: how the settings say that backups are kept; None where only what the last update wrote down is known.
        identities: what opens encrypted backups beside the stack's own key.
    """

    def __init__(
        self,
        key: str,
        directory: Path | None = None,
        terms: Terms | None = None,
        identities: tuple[str, ...] = (),
    ) -> None:
        self._terms, self._identities = terms, identities
        self.key, self.directory = key, (directory or paths.data() / "backups") / key

    @cached_property
    def keys(self) -> Keys:
        """What signs the stack's backups, and opens those that are encrypted; raises PlatformError."""
        return keys.read(self.key).with_identities(self._identities)

    @classmethod
    def of_job(cls, job: Job) -> Store:
        """Return the backups among which those that `job` makes lie."""
        directory = job.settings.get("directory")
        return cls(job.reference.stack, Path(directory) if directory else None)

    @cached_property
    def storage(self) -> Storage | None:
        """The bucket in which the backups lie; None where that is a directory. Raises BackupError where its key is not known."""
        if (bucket := self.terms.bucket) is None:
            return None
        try:
            secret = Registry(self.key).password(SECRET, bucket.access_key)
        except ServerError:
            msg = (
                f"stack {self.key} does not know the secret of the key {bucket.access_key} of the bucket {bucket.name}; set it by "
                "`pulumi config set --secret --path keelson:backup.bucket.secret_key`, and run `keelson up`"
            )
            raise BackupError(msg) from None
        return Storage(bucket, self.key, secret)

    @property
    def where(self) -> str:
        """Where the backups lie, for people."""
        if bucket := self.terms.bucket:
            return f"the bucket {bucket.name} ({'/'.join(filter(None, (bucket.prefix, self.key)))})"
        return str(self.directory)

    def names(self) -> list[str]:
        """Return the databases and Redis of which there are backups, those too that the settings no longer name."""
        if self.storage:
            return [name for name in self.storage.names() if self.all(name)]
        return sorted(path.name for path in _entries(self.directory) if self.all(path.name))

    def all(self, name: str) -> list[Backup]:
        """Return the backups of `name`, the newest first; no manifest is read."""
        if self.storage:
            known = (identity for identity in self.storage.ids(name) if _ID.fullmatch(identity))
            return [Backup(self.storage.place(name, each), self.keys, name) for each in sorted(known, reverse=True)]
        found = (path for path in _entries(self.directory / name) if _ID.fullmatch(path.name))
        return [Backup(path, self.keys, name) for path in sorted(found, reverse=True)]

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
        msg = f"there is no {what} under {self.where}; the newest are: {known}"
        raise BackupError(msg)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Hold the one right to write and remove backups of `name`, and clear what a killed process left.

        Raises:
            BackupError: another process has it.
        """
        folder = paths.private_directory(self.directory / name)
        with opened(folder / LOCK, os.O_RDWR | os.O_CREAT) as descriptor:
            if descriptor is None or not locked(descriptor, fcntl.LOCK_EX):
                raise BackupError(self._who_writes(name))
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} since {datetime.now(UTC):%H:%M:%S} UTC".encode())
            if self.storage:
                ours = {path.name.removeprefix(".").removesuffix(PARTIAL) for path in folder.glob(f".*{PARTIAL}")}
                self.storage.clear(name, ours)
            for path in folder.glob(".*"):
                if path.name != LOCK:
                    shutil.rmtree(path, ignore_errors=True)
            yield folder

    @contextlib.contextmanager
    def new(self, name: str, identity: str) -> Iterator[Place]:
        """Give the place of a new backup, which gets its name when the block ends without an error; else nothing is left of it.

        The caller holds `writing`. What a killed process leaves here, the next one clears.
        """
        partial = self.directory / name / f".{identity}{PARTIAL}"
        partial.mkdir(mode=0o700)
        if self.storage:
            place = self.storage.place(name, identity)
            try:
                yield place
            except BaseException:
                with contextlib.suppress(KeelsonError):
                    place.discard()
                    partial.rmdir()
                raise
            partial.rmdir()
            return
        try:
            yield Directory(partial)
            sync(partial)
            partial.rename(partial.with_name(identity))
            sync(partial.parent)
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(partial, ignore_errors=True)

    def seal(self) -> tuple[Keys, Seal]:
        """Return the keys for a new backup, made first where there are none, and whom it is encrypted to: the stack itself, too.

        Raises:
            BackupError: it is to be encrypted, and the stack has no key to read it back with.
        """
        own, recipients = keys.ensure(self.key), self.terms.recipients
        if recipients and not own.identities:
            msg = f"backups of {self.key} are encrypted, and it has no key of its own yet to read them back with; run `keelson up`"
            raise BackupError(msg)
        return own, Seal((*own.recipients, *recipients), own.identities) if recipients else Seal()

    def note_signed(self, name: str, identity: str) -> None:
        """Note that the backup `identity` of `name` is signed, and so are all later ones."""
        keys.note_first(self.key, name, identity)

    @cached_property
    def terms(self) -> Terms:
        """How new backups are kept; raises PlatformError."""
        return terms.read(self.key) if self._terms is None else self._terms

    def new_id(self, name: str, now: datetime) -> str:
        """Return the id of a backup that begins now: later than all that are there, whatever the clock says."""
        after = [time_of(backup.id) + timedelta(seconds=1) for backup in self.all(name)[:1]]
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


def sync(directory: Path) -> None:
    """Let what a directory holds be on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def time_of(identity: str) -> datetime:
    """Return when a backup was begun, by its id."""
    try:
        return datetime.strptime(identity, ID_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)
