"""A server as it was at a moment, made of its archive: beside the live one, or in its place."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from keelson import paths
from keelson.backups.physical import planning
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Physical
from keelson.backups.physical.planning import Reached, Side
from keelson.endpoint import Reference
from keelson.errors import KeelsonError, ServerError
from keelson.local import archive, data_directory, exchanging, marks, server
from keelson.local import root as private_root
from keelson.local.data_directory import ADMINISTRATOR, alone
from keelson.local.recovering import recover
from keelson.local.registry import Registry, ServerRecord
from keelson.local.spec import NAME, ServerSpec
from keelson.postgres.admission import LOOPBACK, rules

RESTORING = "restoring-"  # start of the name of a directory in which a restore works
BEFORE = "pgdata.before-"  # start of the name under which a restore in place keeps the data of before
STAMP = "%Y%m%dt%H%M%Sz"
SLACK = 1.1  # of a backup's size, that a restore takes beside the log


@dataclass(frozen=True)
class _Wish:
    """A server at a moment; with a cluster, as which it was another one then."""

    key: str
    name: str
    moment: datetime | None
    cluster: str


def beside(key: str, name: str, moment: datetime | None, *, into: str = "", cluster: str = "") -> Side:
    """Make a server beside the live one as that was at a moment; only administrators are let in, and it archives nothing.

    Raises:
        BackupError: the moment cannot be reached.
        ServerError: the name is another server's, or there is no room.
    """
    record = _record(key, name)
    side = into or f"{name}-at-{moment or datetime.now(UTC):{STAMP}}"
    if not NAME.fullmatch(side) or side in Registry(key).ports():
        msg = f"{side!r} cannot name a server beside {name}: use at most 40 of a-z, 0-9, '_' and '-' that no part of the stack has, with --into"
        raise ServerError(msg)
    directory = Path(record.data_directory).parent / side
    if directory.exists() and any(directory.iterdir()):
        msg = f"{directory} is not empty; look at it and remove it, or choose another name with --into"
        raise ServerError(msg)
    spec = _side_spec(key, side, record, directory)
    try:
        with alone(key, side):
            paths.private_directory(directory)
            marks.write(directory, key, spec.stack_id, side, major=private_root.find().postgres_major)
            secret = Registry(key).ensure_password(side, ADMINISTRATOR)
            reached = _reach(_Wish(key, name, moment, cluster), directory, secret)
        return Side(side, server.start(spec).port, reached)
    except BaseException:
        data_directory.remove_data(key, spec.stack_id, side, directory)
        raise


def in_place(key: str, name: str, moment: datetime | None, *, cluster: str = "") -> tuple[Reached, Path]:
    """Put a server as it was at a moment into the live one's place; return where the data of before are kept.

    The live server goes on until the other one is ready. Once it is exchanged, all that was written after the moment is in the
    archive and in the data that are kept, and nowhere else.

    Raises:
        BackupError: the moment cannot be reached; the live server is as it was.
        ServerError: the new one does not start; the live one is back.
    """
    record = _record(key, name)
    directory = Path(record.data_directory)
    with _working(directory) as work:
        secret = Registry(key).password(name, ADMINISTRATOR)
        reached = _reach(_Wish(key, name, moment, cluster), work, secret)
        before = directory / f"{BEFORE}{datetime.now(UTC):{STAMP}}"
        server.stop(key, name)  # which sends the rest of the log
        with alone(key, name):
            exchanging.exchange(work / "pgdata", before, directory / "pgdata")
        since = datetime.now(UTC)
    try:
        server.start(server.recorded(key, name))
    except KeelsonError:
        _put_back(key, name, directory, before)
        raise
    _note_branch(key, name, since)
    return reached, before


def discard(key: str, name: str, side: str) -> None:
    """Take a server away that was made beside a live one; raises ServerError where it is not one of those."""
    record = Registry(key).server(side)
    if record is None or record.origin != name:
        known = ", ".join(each.name for each in sides(key, name)) or "none"
        msg = f"{side!r} was not restored beside {name}; of that there are: {known}"
        raise ServerError(msg)
    _remove(key, record)


def discard_all(key: str) -> None:
    """Take all of them away, as a destroy does."""
    for record in list(Registry(key).servers().values()):
        if record.origin:
            _remove(key, record)


def sides(key: str, name: str) -> list[ServerRecord]:
    """Return the servers that were made beside a live one."""
    return [record for record in Registry(key).servers().values() if record.origin == name]


def _remove(key: str, record: ServerRecord) -> None:
    known = Registry(key).stack()
    data_directory.remove_data(key, known.stack_id if known else "", record.name, Path(record.data_directory))


def _record(key: str, name: str) -> ServerRecord:
    record = Registry(key).server(name)
    if record is None or record.origin:
        known = ", ".join(each.name for each in Registry(key).servers().values() if not each.origin) or "none"
        msg = f"stack {key} has no server {name!r} on this machine; it has {known}"
        raise ServerError(msg)
    return record


def _side_spec(key: str, side: str, record: ServerRecord, directory: Path) -> ServerSpec:
    known = Registry(key).stack()
    quiet = {"max_worker_processes": "0"}  # no job of TimescaleDB or pg_cron, no subscription
    return ServerSpec(
        key=key,
        stack_id=known.stack_id if known else "",
        name=side,
        version_label=record.version_label,
        data_directory=directory,
        preferred_port=record.preferred_port,
        avoid_ports=tuple(record.avoid_ports),
        parameters={**{each: str(value) for each, value in record.parameters.items()}, **quiet},
        timescale=record.timescale,
        pgaudit=record.pgaudit,
        hba=rules("host", LOOPBACK[:1], ()),
        origin=record.name,
    )


def _reach(wish: _Wish, directory: Path, secret: str) -> Reached:
    """Restore into `directory` and go forward to the moment; the data are then those of a server that was stopped."""
    began = time.monotonic()
    _note_branch(wish.key, wish.name)  # that a killed restore in place did not
    planned = planning.plan(_reference(wish.key, wish.name), wish.moment, wish.cluster)
    _refuse_small_disk(directory, planned.backup, wish.name)
    place, _ = archive.find(wish.key, wish.name, planned.cluster)
    paths.private_directory(directory / "pgdata")
    ENGINE.restore(archive.into(wish.key, place, directory), planned.goal)
    last = recover(directory, place.repository, wish.name, secret)
    return Reached(planned.backup, last, time.monotonic() - began)


def _reference(key: str, name: str) -> Reference:
    return Reference(stack=key, target="local", server=name)


def _refuse_small_disk(directory: Path, backup: Physical, name: str) -> None:
    free = shutil.disk_usage(directory).free
    if free < SLACK * backup.bytes:
        msg = (
            f"{name} takes {backup.bytes / 1e6:.0f} MB and {free / 1e6:.0f} MB are free under {directory.parent}; make room there, "
            "nothing was changed"
        )
        raise ServerError(msg)


@contextmanager
def _working(directory: Path) -> Iterator[Path]:
    """Give a directory on the disk of the data; what killed restores left goes."""
    for left in directory.glob(f"{RESTORING}*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        work = Path(tempfile.mkdtemp(prefix=RESTORING, dir=directory))
    except OSError as fault:
        msg = f"cannot write to {directory}: {fault.strerror}; make room or give write access"
        raise ServerError(msg) from None
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put_back(key: str, name: str, directory: Path, before: Path) -> None:
    server.stop(key, name)
    with alone(key, name):
        exchanging.put_back(directory, before)
    server.start(server.recorded(key, name))


def _note_branch(key: str, name: str, since: datetime | None = None) -> None:
    place, _ = archive.find(key, name)
    exchanging.note_branch(Path(_record(key, name).data_directory), place.repository, since)
