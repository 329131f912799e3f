"""Restored data in the place of live ones, and the timeline that this begins; on this machine, or in a container that sees both."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from keelson import inside, paths
from keelson.backups.physical import choosing
from keelson.errors import KeelsonError, ServerError
from keelson.local import archive
from keelson.local import root as private_root
from keelson.local.root import DATA, plain_environment
from keelson.local.sandbox import PROGRAMS

EXCHANGE, HERE = 2, -100  # linux/fs.h, linux/fcntl.h


def exchange(new: Path, before: Path, live: Path) -> None:
    """Give the live data's name to others in one step; the data that had it then have the name `before`."""
    new.rename(before)
    if not live.exists():  # lost, which may be why it is restored
        before.rename(live)
        return
    if ctypes.CDLL(None, use_errno=True).renameat2(HERE, os.fsencode(before), HERE, os.fsencode(live), EXCHANGE):
        fault = os.strerror(ctypes.get_errno())
        msg = f"cannot put {before} into the place of {live}: {fault}; the live data are as they were"
        raise ServerError(msg)


def put_back(directory: Path, before: Path) -> None:
    """Exchange the data of before with the live ones again."""
    exchange(before, before.with_name(f"{before.name}.failed"), directory / "pgdata")


def note_branch(directory: Path, repository: Path, since: datetime | None = None) -> None:
    """Keep in the archive that the live data are on a timeline that it does not know of; by default since the file about it was written."""
    known = choosing.read_branches(repository) if repository.is_dir() else []
    before = known[-1].timeline if known else 1
    pgdata = directory / "pgdata"
    timeline = _timeline(directory)
    if timeline <= before or archive.identifier(pgdata) != repository.name:
        return
    file = pgdata / "pg_wal" / f"{timeline:08X}.history"
    history = choosing.history_of(file.read_text(encoding="ascii")) if file.exists() else ()
    since = since or datetime.fromtimestamp(file.stat().st_mtime if file.exists() else time.time(), UTC)
    if not repository.is_dir():
        paths.private_directory(repository)
    choosing.note_branch(repository, choosing.Branch(timeline, since.isoformat(), before, history))


def _timeline(directory: Path) -> int:
    """Return the timeline on which the data are; 1 where they are lost."""
    with suppress(KeelsonError):
        found = re.search(rb"TimeLineID:\s+(\d+)", _control_data(directory))
        return int(found[1]) if found else 1
    return 1


def _control_data(directory: Path) -> bytes:
    if not inside.here():
        root = private_root.find()
        return root.run([root.program("pg_controldata"), "-D", f"{DATA}/pgdata"], data=directory)
    command = [f"{PROGRAMS}/pg_controldata", "-D", str(directory / "pgdata")]
    return subprocess.run(command, capture_output=True, env=plain_environment(), check=False).stdout
