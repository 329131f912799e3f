"""Look for what is wrong with this machine and this stack, and say what to do."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from keelson import paths
from keelson.cli.context import Context, JsonOption, StackOption, context
from keelson.cli.output import print_json, print_table
from keelson.errors import KeelsonError
from keelson.stack import find_engine
from keelson.target import target

LEAST_FREE = 2_000_000_000  # bytes: what a server of moderate size needs to go on writing for a while


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; without a fault it is well."""

    check: str
    well: bool
    detail: str


def doctor(stack: StackOption = None, *, as_json: JsonOption = False) -> None:
    """Check the machine and the stack; exit status 1 when something is wrong.

    Example: keelson doctor
    """
    findings = list(_examine(context(stack)))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(("", "CHECK", "DETAIL"), (("ok" if f.well else "FAILED", f.check, f.detail) for f in findings))
    raise typer.Exit(0 if all(finding.well for finding in findings) else 1)


def _examine(chosen: Context) -> Iterator[Finding]:
    yield _finding("engine", lambda: str(find_engine()))
    yield _finding("settings", lambda: _settings(chosen))
    yield _finding("disk", _disk)
    yield _finding("private files", lambda: _private_files(chosen))
    yield _finding("lock", lambda: _lock(chosen))
    yield from _parts(chosen)


def _finding(check: str, examine: Callable[[], str]) -> Finding:
    try:
        return Finding(check, well=True, detail=examine())
    except KeelsonError as fault:
        return Finding(check, well=False, detail=str(fault))


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
        place = target(chosen.stack.settings.target)
        for part in place.parts(chosen.stack.key):
            yield Finding(f"part {part.name}", part.answering, part.detail or f"answers on port {part.port}")
    except KeelsonError as fault:
        yield Finding("target", well=False, detail=str(fault))


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
