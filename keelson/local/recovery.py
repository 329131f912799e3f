"""A server as it was at a moment, made of its archive: beside the live one, or in its place."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from keelson import paths
from keelson.backups.physical import archiving as kept
from keelson.backups.physical import choosing
from keelson.backups.physical.archiving import ARCHIVE, Archiving
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Goal, Inventory, Physical
from keelson.errors import BackupError, KeelsonError, ServerError, UnreachableError
from keelson.local import archive, data_directory, marks, server
from keelson.local import root as private_root
from keelson.local.archive import LocalArchive
from keelson.local.data_directory import ADMINISTRATOR, UNRECORDED, alone
from keelson.local.registry import Registry, ServerRecord
from keelson.local.root import DATA, plain_environment, telling
from keelson.local.spec import NAME, ServerSpec
from keelson.postgres.admission import LOOPBACK, rules
from keelson.postgres.connection import connect

RESTORING = "restoring-"  # start of the name of a directory in which a restore works
BEFORE = "pgdata.before-"  # start of the name under which a restore in place keeps the data of before
STAMP = "%Y%m%dt%H%M%Sz"
ARCHIVED_SECONDS = 90.0  # until the last file of the log must have arrived
END_SECONDS = 120
EXCHANGE, HERE = 2, -100  # linux/fs.h, linux/fcntl.h
SLACK = 1.1  # of a backup's size, that a restore takes beside the log
WHILE_RECOVERING = {
    **UNRECORDED,
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_directories": "/sockets",
    "hba_file": f"{DATA}/recovery_hba.conf",
    "ssl": "off",
    "hot_standby": "off",  # nobody is to look before it is done
    "archive_mode": "on",  # so that the new timeline is noted for the archive,
    "archive_command": "",  # to which nothing goes from here
    "max_worker_processes": "0",
    "autovacuum": "off",
    "cluster_name": "",
    "logging_collector": "off",
    "log_destination": "stderr",
}
ASKED = re.compile(r"^\s*(restore_command|recovery_target\w*|archive_mode)\s*=", re.MULTILINE)


@dataclass(frozen=True)
class _Wish:
    """A server at a moment; with a cluster, as which it was another one then."""

    key: str
    name: str
    moment: datetime | None
    cluster: str


@dataclass(frozen=True)
class Reached:
    """What a restore has come to: from which backup, and the last transaction that it holds; None where none came after the backup."""

    backup: Physical
    last: datetime | None
    seconds: float


@dataclass(frozen=True)
class Side:
    """A server beside the live one, as that was at a moment."""

    name: str
    port: int
    reached: Reached


def look(key: str, name: str, cluster: str = "") -> tuple[LocalArchive, Archiving, Inventory]:
    """Return a server's archive and what it holds; of another cluster that it was before, where one is named."""
    place, archiving = archive.find(key, name, cluster)
    return place, archiving, ENGINE.inventory(place)


def restorable_until(place: LocalArchive) -> datetime:
    """Return up to when the archive goes: now, where the server answers and sends what it has."""
    if (asked := _send_the_rest(place)) is not None:
        return asked
    files = [path for path in (place.repository / "archive").rglob("0*") if path.is_file()]
    return datetime.fromtimestamp(max((path.stat().st_mtime for path in files), default=0.0), UTC)


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
            _exchange(work / "pgdata", before, directory / "pgdata")
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
    place, archiving, inventory = look(wish.key, wish.name, wish.cluster)
    until = restorable_until(place)
    _note_branch(wish.key, wish.name)  # that a killed restore in place did not
    branch = choosing.branch_at(choosing.read_branches(place.repository), wish.moment)
    chosen = choosing.choose(inventory, branch, wish.moment, until, wish.name)
    _refuse_small_disk(directory, chosen, wish.name)
    archive.write(directory, archiving, kept.passphrase(wish.key, wish.name), 5432)
    paths.private_directory(directory / "pgdata")
    timeline = str(branch.timeline) if branch else "latest"
    ENGINE.restore(replace(place, directory=directory), Goal(chosen.label, wish.moment, timeline))
    last = _recover(directory, place, secret)
    return Reached(chosen, last, time.monotonic() - began)


def _recover(directory: Path, place: LocalArchive, secret: str) -> datetime | None:
    """Run the server until it has gone forward and begun its own timeline, and stop it cleanly; return its last transaction's time."""
    paths.write_private(directory / "recovery_hba.conf", f"local all {ADMINISTRATOR} trust\n")
    with tempfile.TemporaryDirectory(prefix="keelson-", dir="/tmp") as sockets:
        with (
            _postmaster(directory, place, Path(sockets)) as process,
            _connected(process, Path(sockets), directory, place) as admin,
        ):
            row = admin.execute("SELECT pg_last_xact_replay_timestamp()").fetchone()
            verifier = admin.pgconn.encrypt_password(secret.encode(), ADMINISTRATOR.encode(), b"scram-sha-256")
            admin.execute(f"ALTER ROLE {ADMINISTRATOR} PASSWORD '{verifier.decode()}'".encode())
        if process.returncode:
            msg = f"the restored server did not stop cleanly (status {process.returncode}); look at {directory / 'recovery.log'} and try again"
            raise ServerError(msg)
    _forget_recovery(directory / "pgdata" / "postgresql.auto.conf")
    return row[0].astimezone(UTC) if row and row[0] else None


@contextmanager
def _postmaster(directory: Path, place: LocalArchive, sockets: Path) -> Iterator[subprocess.Popen[bytes]]:
    root = private_root.find()
    words = [
        word
        for name, value in WHILE_RECOVERING.items()
        if name != "exit_on_error"
        for word in ("-c", f"{name}={value}")
    ]
    argv = [root.program("postgres"), "-D", f"{DATA}/pgdata", *words]
    binds = {sockets: "/sockets"}
    command = root.command(
        argv, data=directory, binds=binds, reads={place.repository: str(ARCHIVE)}, as_first_process=True
    )
    with (directory / "recovery.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_environment())
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
        for number in children.split():
            os.kill(int(number), signal.SIGINT)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _connected(
    process: subprocess.Popen[bytes], sockets: Path, directory: Path, place: LocalArchive
) -> Iterator[psycopg.Connection]:
    """Wait for as long as the server goes forward; raises BackupError where it ends before it is done."""
    parameters = {"host": str(sockets), "port": "5432", "dbname": "postgres", "user": ADMINISTRATOR}
    while True:
        try:
            with connect(parameters, application_name="keelson restore", deadline=0.2) as admin:
                yield admin
                return
        except UnreachableError:
            if process.poll() is not None:
                raise _stopped(
                    place, (directory / "recovery.log").read_text(encoding="utf-8", errors="replace")
                ) from None


def _stopped(place: LocalArchive, log: str) -> BackupError:
    if "recovery ended before configured recovery target" in log:
        return BackupError(
            f"the archive of {place.server} ends, or has a gap, before that time; restore an earlier one, or `--at latest` for all that can be had"
        )
    said = server.PREFIX.sub("", telling(log.splitlines())) or "it said nothing"
    return BackupError(f"the server made of the archive of {place.server} does not start: {said}; restore another time")


def _send_the_rest(place: LocalArchive) -> datetime | None:
    """Let the live server end what it writes with a transaction, and send it; return the time before that, None where it cannot.

    PostgreSQL recognises that a moment is reached by a transaction that comes after it.
    """
    with suppress(ServerError):
        if archive.identifier(_pgdata(place)) != place.repository.name:
            return None  # a cluster that the server was before
    try:
        with server.connect(place.key, place.server) as admin:
            asked = admin.execute("SELECT clock_timestamp()").fetchone()
            admin.execute("SELECT pg_current_xact_id()")
            file = admin.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            deadline = time.monotonic() + ARCHIVED_SECONDS
            while time.monotonic() < deadline:
                if (last := ENGINE.inventory(place).last_archived) and file and last[8:] >= file[0][8:]:
                    return asked[0].astimezone(UTC) if asked else None
                time.sleep(0.2)
    except (psycopg.Error, ServerError):
        return None
    return None


def _pgdata(place: LocalArchive) -> Path:
    return Path(_record(place.key, place.server).data_directory) / "pgdata"


def _refuse_small_disk(directory: Path, backup: Physical, name: str) -> None:
    free = shutil.disk_usage(directory).free
    if free < SLACK * backup.bytes:
        msg = (
            f"{name} takes {backup.bytes / 1e6:.0f} MB and {free / 1e6:.0f} MB are free under {directory.parent}; make room there, "
            "nothing was changed"
        )
        raise ServerError(msg)


def _forget_recovery(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    paths.write_private(file, "".join(line for line in text.splitlines(keepends=True) if not ASKED.match(line)))


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


def _exchange(new: Path, before: Path, live: Path) -> None:
    """Give the live data's name to others in one step; the data that had it then have the name `before`."""
    new.rename(before)
    if not live.exists():  # lost, which may be why it is restored
        before.rename(live)
        return
    if ctypes.CDLL(None, use_errno=True).renameat2(HERE, os.fsencode(before), HERE, os.fsencode(live), EXCHANGE):
        fault = os.strerror(ctypes.get_errno())
        msg = f"cannot put {before} into the place of {live}: {fault}; the live data are as they were"
        raise ServerError(msg)


def _put_back(key: str, name: str, directory: Path, before: Path) -> None:
    server.stop(key, name)
    with alone(key, name):
        _exchange(before, before.with_name(f"{before.name}.failed"), directory / "pgdata")
    server.start(server.recorded(key, name))


def _timeline(directory: Path) -> int:
    """Return the timeline on which the data are; 1 where they are lost."""
    with suppress(KeelsonError):
        told = private_root.find().run(
            [private_root.find().program("pg_controldata"), "-D", f"{DATA}/pgdata"], data=directory
        )
        found = re.search(rb"TimeLineID:\s+(\d+)", told)
        return int(found[1]) if found else 1
    return 1


def _note_branch(key: str, name: str, since: datetime | None = None) -> None:
    """Keep in the archive that the live data are on a timeline that it does not know of; by default since the file about it was written."""
    place, _ = archive.find(key, name)
    known = choosing.read_branches(place.repository) if place.repository.is_dir() else []
    before = known[-1].timeline if known else 1
    pgdata = _pgdata(place)
    timeline = _timeline(pgdata.parent)
    if timeline <= before or archive.identifier(pgdata) != place.repository.name:
        return
    file = pgdata / "pg_wal" / f"{timeline:08X}.history"
    history = choosing.history_of(file.read_text(encoding="ascii")) if file.exists() else ()
    since = since or datetime.fromtimestamp(file.stat().st_mtime if file.exists() else time.time(), UTC)
    paths.private_directory(place.repository)
    choosing.note_branch(place.repository, choosing.Branch(timeline, since.isoformat(), before, history))
