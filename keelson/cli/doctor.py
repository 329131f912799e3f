"""Look for what is wrong with this machine and this stack, and say what to do."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import typer

from keelson import paths
from keelson.agent import jobs
from keelson.backups.store import Store
from keelson.cli.backup import names, store_of
from keelson.cli.context import Context, JsonOption, StackOption, context
from keelson.cli.output import print_json, print_table
from keelson.errors import KeelsonError
from keelson.schedule import Schedule
from keelson.stack import find_engine
from keelson.target import target

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
    yield _finding("disk", _disk)
    yield _finding("private files", lambda: _private_files(chosen))
    yield _finding("lock", lambda: _lock(chosen))
    yield from _parts(chosen)
    yield from _backups(chosen)


def _finding(check: str, examine: Callable[[], str]) -> Finding:
    try:
        return Finding(check, Level.ok, examine())
    except KeelsonError as fault:
        return Finding(check, Level.failed, str(fault))


def _settings(chosen: Context) -> str:
    stack = chosen.stack
    return f"{len(stack.databases)} databases on {len(stack.settings.servers)} servers, target {stack.settings.target}"


def _disk() -> str:
    folder = _existing(paths.data())
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        msg = f"only {free / 1e9:.1f} GB are free under {folder}; make room before a server stops"
        raise KeelsonError(msg)
    return f"{free / 1e9:.0f} GB free under {folder}"


def _private_files(chosen: Context) -> str:
    folder = paths.state() / "stacks" / chosen.stack.key
    for path in (folder, *(folder.rglob("*") if folder.is_dir() else ())):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077 and not path.is_symlink():
            msg = f"{path} can be read by others; run `chmod go-rwx {path}`"
            raise KeelsonError(msg)
    return f"only you can read {folder}"


def _lock(chosen: Context) -> str:
    held = [lock for lock in chosen.engine.locks() if not lock.stale]
    return f"held by process {held[0].pid}" if held else "nobody works on the stack"


def _parts(chosen: Context) -> Iterator[Finding]:
    try:
        place = target(chosen.stack.settings.place)
        for part in place.parts(chosen.stack.key):
            level = Level.ok if part.answering else Level.failed
            yield Finding(f"part {part.name}", level, part.detail or f"answers on port {part.port}")
    except KeelsonError as fault:
        yield Finding("target", Level.failed, str(fault))


def _backups(chosen: Context) -> Iterator[Finding]:
    """Say whether a disk's loss takes the backups too, and whether each database has the backups that were due."""
    try:
        store = store_of(chosen)
        yield _device(chosen, store)
        registered = {job.name: job.registered for job in jobs.every(chosen.stack.key)}
        for name in names(chosen):
            yield _backup(chosen, store, name, registered.get(jobs.backup_of(name)))
    except KeelsonError as fault:
        yield Finding("backups", Level.failed, str(fault))


def _device(chosen: Context, store: Store) -> Finding:
    stack = chosen.stack
    own = paths.data() / "stacks" / stack.key
    places = [_existing(server.data_directory or own) for server in stack.settings.servers.values()]
    backups = _existing(store.directory)
    if backups.stat().st_dev not in {place.stat().st_dev for place in places}:
        return Finding("backup disk", Level.ok, f"{store.directory} lies on another disk than the data")
    detail = f"{store.directory} lies on the disk of the data, and is lost with it; set keelson:backup.directory to another disk"
    return Finding("backup disk", Level.failed if stack.settings.protected else Level.warning, detail)


def _backup(chosen: Context, store: Store, name: str, registered: float | None) -> Finding:
    settings = chosen.stack.backup_of(name)
    due = Schedule(settings.schedule, settings.time_zone).before(datetime.now(UTC) - RUN_TIME)
    last = store.last(name)
    if last and last.begun >= due:
        return Finding(f"backup {name}", Level.ok, f"{last.id}, {last.manifest.reason}")
    what = f"the last good backup is {last.id}" if last else "there is no good backup"
    new = registered is None or registered > due.timestamp()
    reason = "the stack is younger than its schedule" if new else f"one was due at {due:%Y-%m-%d %H:%M} UTC"
    detail = f"{what}, and {reason}; run `keelson backup run {name}`"
    return Finding(f"backup {name}", Level.warning if new else Level.failed, detail)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
