"""Look for what is wrong with this machine and this stack, and say what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import typer

from keelson import paths
from keelson.backups.disks import Disks
from keelson.backups.overview import Kept
from keelson.cli import doctor_archives
from keelson.cli.backup import names
from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, StackOption
from keelson.cli.output import print_json, print_table
from keelson.errors import KeelsonError
from keelson.schedule import Schedule
from keelson.stack import find_engine
from keelson.status import CertificateStatus
from keelson.status.backups import failure
from keelson.target import Part, target

RUN_TIME = timedelta(hours=1)  # that a backup may take from when it is due
LEAST_FREE = 2_000_000_000  # bytes: what a server of moderate size needs to go on writing for a while


class Level(StrEnum):
    """How bad a finding is."""

    ok = "ok"
    warning = "warning"
    failed = "failed"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    detail: str


def doctor(stack: StackOption = None, *, as_json: JsonOption = False) -> None:
    """Check the machine and the stack; exit status 1 when something failed, 0 when there are only warnings.

    Example: keelson doctor
    """
    findings = list(_examine(context(stack)))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(("", "CHECK", "DETAIL"), ((_word(f.level), f.check, f.detail) for f in findings))
    raise typer.Exit(1 if any(finding.level is Level.failed for finding in findings) else 0)


def _word(level: Level) -> str:
    return level.value if level is Level.ok else level.value.upper()


def _examine(chosen: Context) -> Iterator[Finding]:
    yield _finding("engine", lambda: str(find_engine()))
    yield _finding("settings", lambda: _settings(chosen))
    yield _finding("lock", lambda: _lock(chosen))
    try:
        yield from _target(chosen)
    except KeelsonError as fault:  # without it nothing else can be looked at
        yield Finding("target", Level.failed, str(fault))


def _target(chosen: Context) -> Iterator[Finding]:
    """Look at what the target knows; raises KeelsonError where that does not answer."""
    stack = chosen.stack
    place = target(stack.settings.place)
    if said := place.platform():
        yield Finding("platform", Level.ok, said)
    data = [found.data_directory or paths.data() / "stacks" / stack.key for found in stack.settings.servers.values()]
    found = place.disks(stack.key, stack.settings.backup.directory, data)
    yield _finding("disk", lambda: _disk(found))
    yield _finding("private files", lambda: _private_files(found))
    yield from _parts(chosen)
    yield from _certificates(chosen)
    yield _device(chosen, found)
    yield from _backups(chosen)
    for server, look in doctor_archives.looks(stack):
        yield _finding(f"archive {server}", look)


def _finding(check: str, examine: Callable[[], str]) -> Finding:
    try:
        return Finding(check, Level.ok, examine())
    except KeelsonError as fault:
        return Finding(check, Level.failed, str(fault))


def _settings(chosen: Context) -> str:
    stack = chosen.stack
    return f"{len(stack.databases)} databases on {len(stack.settings.servers)} servers, target {stack.settings.target}"


def _disk(found: Disks) -> str:
    if found.free < LEAST_FREE:
        msg = f"only {found.free / 1e9:.1f} GB are free under {found.data}; make room before a server stops"
        raise KeelsonError(msg)
    return f"{found.free / 1e9:.0f} GB free under {found.data}"


def _private_files(found: Disks) -> str:
    if found.readable:
        msg = f"{found.readable} can be read by others; run `chmod go-rwx {found.readable}`"
        raise KeelsonError(msg)
    return f"only you can read {found.private}"


def _lock(chosen: Context) -> str:
    held = [lock for lock in chosen.engine.locks() if not lock.stale]
    return f"held by process {held[0].pid}" if held else "nobody works on the stack"


def _parts(chosen: Context) -> Iterator[Finding]:
    try:
        place = target(chosen.stack.settings.place)
        for part in place.parts(chosen.stack.key):
            yield Finding(f"part {part.name}", _level(part), part.detail or _answers(part))
    except KeelsonError as fault:
        yield Finding("target", Level.failed, str(fault))


def _level(part: Part) -> Level:
    if part.answering and not part.degraded:
        return Level.ok
    return Level.warning if part.starting or part.degraded else Level.failed


def _answers(part: Part) -> str:
    return f"answers on port {part.port}" if part.port else "answers inside the stack"


def _certificates(chosen: Context) -> Iterator[Finding]:
    """Say of each certificate whether enough of its life is left."""
    now = datetime.now(UTC)
    for found in target(chosen.stack.settings.place).certificates(chosen.stack.key):
        seen = CertificateStatus.of(found, now)
        wrong = seen.fault or seen.warning
        detail = wrong or f"ends on {found.expires:%Y-%m-%d}, and is renewed by an `up` after {found.renewal:%Y-%m-%d}"
        yield Finding(f"certificate {found.server}", Level.failed if wrong else Level.ok, detail)


def _backups(chosen: Context) -> Iterator[Finding]:
    """Say whether each database has the backups that were due."""
    stack = chosen.stack
    try:
        found = target(stack.settings.place).backups(stack.key, names(chosen), stack.settings.backup.directory)
        yield from (Finding("backups", Level.failed, fault) for fault in found.faults)
        for name in names(chosen):
            yield _backup(chosen, name, found.of(name))
    except KeelsonError as fault:
        yield Finding("backups", Level.failed, str(fault))


def _device(chosen: Context, found: Disks) -> Finding:
    if not found.shared:
        return Finding("backup disk", Level.ok, f"{found.backups} lies on another disk than the data")
    settings = chosen.stack.settings
    step = {"kubernetes": "set keelson:kubernetes.storage_class to volumes that outlive a node"}
    todo = step.get(settings.target, "set keelson:backup.directory to another disk")
    detail = f"{found.backups} lies on the disk of the data, and is lost with it; {todo}"
    return Finding("backup disk", Level.failed if settings.protected else Level.warning, detail)


def _backup(chosen: Context, name: str, kept: Kept) -> Finding:
    if kept.fault:
        return Finding(f"backup {name}", Level.failed, kept.fault)
    if failed := failure(name, kept):
        return Finding(f"backup {name}", Level.failed, f"{failed}; run `keelson backup run {name}`")
    settings = chosen.stack.backup_of(name)
    by_a_cron_job = chosen.stack.settings.target == "kubernetes"
    schedule = Schedule(settings.schedule, settings.time_zone, by_the_wall=by_a_cron_job)
    due = schedule.before(datetime.now(UTC) - RUN_TIME)
    if kept.begun and kept.begun >= due:
        return Finding(f"backup {name}", Level.ok, f"{kept.last}, {kept.reason}")
    what = f"the last good backup is {kept.last}" if kept.last else "there is no good backup"
    new = kept.job is None or kept.job.registered > due.timestamp()
    reason = "the stack is younger than its schedule" if new else f"one was due at {due:%Y-%m-%d %H:%M} UTC"
    detail = f"{what}, and {reason}; run `keelson backup run {name}`"
    return Finding(f"backup {name}", Level.warning if new else Level.failed, detail)
