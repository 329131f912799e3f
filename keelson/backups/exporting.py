"""Brings the dump of a backup out, for anyone: decrypted and in one file, as PostgreSQL's or Redis's own programs read it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from keelson.backups.dumping import DUMP, FURTHER
from keelson.backups.folder import Watch
from keelson.backups.joining import join
from keelson.backups.making import ignore
from keelson.backups.redis import SNAPSHOT
from keelson.backups.store import Backup
from keelson.errors import BackupError


def export(backup: Backup, path: Path, watch: Watch = ignore) -> None:
    """Write the dump to the new file `path`, mode 0600, which is there when all of it is as it was backed up.

    Raises:
        BackupError: there is such a file, it cannot be written, or the backup cannot be read; nothing is left.
    """
    if path.exists() or path.is_symlink():
        msg = f"{path} is there already, and an export overwrites nothing; name another file"
        raise BackupError(msg)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                export_to(backup, file, watch)
                file.flush()
                os.fsync(file.fileno())
            os.link(name, path)  # which refuses a file that came meanwhile
        finally:
            Path(name).unlink()
    except OSError as fault:
        msg = f"cannot write {path}: {fault.strerror}; make room, or name another file"
        raise BackupError(msg) from None


def export_to(backup: Backup, file: IO[bytes], watch: Watch = ignore) -> None:
    """Write the dump to an open file; raises BackupError, also after all was written, where it is not as it was backed up."""
    with backup.held():
        dump, folder = SNAPSHOT if backup.manifest.engine == "redis" else DUMP, backup.folder(watch)
        with folder.open(dump) as stream:
            if FURTHER in folder.names:
                with folder.open(FURTHER) as second:
                    join(stream, second, file.write)
            else:
                while block := stream.read():
                    file.write(block)
