"""Makes, verifies and restores backups, whatever their engine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keelson.backups import manifest as manifests
from keelson.backups.engines import Contents, Destination, Engine, engine, name_of, refuse_difference
from keelson.backups.folder import Folder, Seal, Watch
from keelson.backups.manifest import Manifest
from keelson.backups.store import Backup, Store
from keelson.endpoint import Reference
from keelson.errors import BackupError, DamagedError

SCHEDULED, MANUAL, BEFORE_DROP, BEFORE_DESTROY = "scheduled", "manual", "before-drop", "before-destroy"
BEFORE_MIGRATION, BEFORE_UNDO = "before-migration", "before-undo"


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up: a database or a Redis, reached as its administrator."""

    engine: str
    reference: Reference

    @property
    def name(self) -> str:
        """Under which its backups are kept."""
        return name_of(self.engine, self.reference)


def ignore(_bytes: int) -> None:
    """Watch nothing."""


def back_up(source: Source, store: Store, reason: str, watch: Watch = ignore) -> Backup:
    """Write a backup, read all of it back meanwhile, and give it its name in one step.

    Raises:
        BackupError: it could not be made or does not read back, the disk is too small, or another one is being made; nothing
            is left of it, and earlier ones stay.
    """
    begun = datetime.now(UTC)
    of_kind = engine(source.engine, source.reference.target)
    keys, seal = store.seal()
    with store.writing(source.name) as folder:
        if not store.terms.bucket:
            _refuse_small_disk(folder, _expected(source, store))
        identity = store.new_id(source.name, begun)
        try:
            with store.new(source.name, identity) as place:
                written = Folder(place, watch=watch, seal=seal)
                contents = _written(source, of_kind, written)
                manifest = Manifest(
                    id=identity,
                    stack=store.key,
                    database=source.name,
                    engine=source.engine,
                    reason=reason,
                    begun=begun,
                    ended=datetime.now(UTC),
                    files=written.files,
                    counts=contents.counts,
                    **_kept_facts(contents, seal),
                )
                manifests.write(place, manifest, keys)
                store.note_signed(source.name, identity)
        except OSError as fault:
            msg = f"cannot write the backup of {source.name} to {folder}: {fault.strerror}; make room or give write access"
            raise BackupError(msg) from None
    return store.find(source.name, identity)


def verify(backup: Backup, place: str, watch: Watch = ignore) -> None:
    """Read all of a backup back as a restore would, with the programs of the target `place`, and note what was found.

    Raises:
        DamagedError: it is not as it was written; it no longer counts as a good one.
        BackupError: it could not be read.
    """
    with backup.held():
        manifest = backup.manifest
        try:
            counted = engine(manifest.engine, place).read_back(backup.folder(watch), manifest.contents)
            refuse_difference(manifest.counts, counted, f"the backup {backup.path}")
        except DamagedError as fault:
            backup.note(str(fault))
            raise
        backup.note()


def restore(backup: Backup, destination: Destination, watch: Watch = ignore) -> None:
    """Restore a backup of `destination.service` and compare what is there afterwards with the manifest.

    Raises:
        BackupError: it is of something else, is damaged, or could not be restored; nothing half-restored is left.
    """
    with backup.held():
        manifest = backup.manifest
        if manifest.database != destination.service:
            msg = f"{backup.path} is a backup of {manifest.database}, not of {destination.service}; name the right one"
            raise BackupError(msg)
        of_kind = engine(manifest.engine, destination.reference.target)
        try:
            counted = of_kind.restore(backup.folder(watch), manifest.contents, destination)
        except DamagedError as fault:
            backup.note(str(fault))
            raise
        try:
            refuse_difference(manifest.counts, counted, f"the restored {destination.service}")
        except BaseException:
            of_kind.discard(destination)
            raise


def _kept_facts(contents: Contents, seal: Seal) -> dict[str, Any]:
    facts, number = dict(contents.facts), manifests.FORMAT
    if seal.recipients:
        facts[manifests.ENCRYPTION] = {"with": "age", "recipients": list(seal.recipients)}
        number = manifests.ENCRYPTED
    return {"facts": facts, "format": manifests.APART if facts.get(manifests.TABLES_APART) else number}


def _written(source: Source, of_kind: Engine, folder: Folder) -> Contents:
    try:
        contents, counted = of_kind.back_up(source.reference, folder)
        refuse_difference(contents.counts, counted, f"the backup of {source.name}")
    except DamagedError as fault:
        msg = f"the backup of {source.name} does not read back and was not kept ({fault}); check the disk and run it again"
        raise BackupError(msg) from None
    return contents


def _expected(source: Source, store: Store) -> int:
    guess = engine(source.engine, source.reference.target).expect(source.reference)
    last = store.last(source.name)
    return last.manifest.bytes if last else guess


def _refuse_small_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        msg = (
            f"the backup of {folder.name} needs about {needed / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free under {folder}; "
            "make room, or set keelson:backup.directory to another disk"
        )
        raise BackupError(msg)
