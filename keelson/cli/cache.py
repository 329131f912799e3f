"""The caches that all checkouts share: engine, private root, pgAdmin, packages of images, uv."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from keelson import paths
from keelson.cli.output import note, print_table, say
from keelson.errors import PlatformError
from keelson.local import processes
from keelson.stack import CHOSEN_ENGINE

_MEGABYTE = 1_000_000
_KINDS = ("engine", "root", "pgadmin", "images", "uv")
_HALF_MADE, _IN_USE, _OLD = "half made", "in use", "old"


@dataclass(frozen=True)
class Version:
    """One directory of a cache."""

    path: Path
    state: str
    size: int  # bytes
    made: float  # seconds since 1970

    @property
    def name(self) -> str:
        """Its cache and its own name."""
        return f"{self.path.parent.name}/{self.path.name}"


def show() -> None:
    """List what the caches hold.

    Example: keelson cache list
    """
    versions = (version for folder in _folders() for version in _versions(folder))
    rows = [(v.path.parent.name, v.path.name, f"{v.size / _MEGABYTE:.0f} MB", v.state) for v in versions]
    print_table(("CACHE", "VERSION", "SIZE", "STATE"), rows)


def prune(
    budget: Annotated[int, typer.Option(min=0, help="Megabytes that may stay; what is in use always stays.")] = 3000,
) -> None:
    """Remove what was left half made, and old versions, oldest first, until the caches fit into the budget.

    Example: keelson cache prune --budget 1500
    """
    with contextlib.ExitStack() as held:
        folders = [folder for folder in _folders() if held.enter_context(_alone(folder))]
        versions = sorted((v for folder in folders for v in _versions(folder)), key=lambda v: v.made)
        total = sum(version.size for version in versions)
        for version in versions:
            if version.state == _HALF_MADE or (version.state == _OLD and total > budget * _MEGABYTE):
                _remove(version)
                total -= version.size
    say(f"the caches hold {total / _MEGABYTE:.0f} MB")


def _folders() -> list[Path]:
    return [folder for kind in _KINDS if (folder := paths.cache() / kind).is_dir()]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Keep set-ups away from a cache; False, said to the user, while one is at work on it."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _locked(descriptor, folder)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(f"a set-up is at work on {folder}, which stays as it is")
        return False
    return True


def _versions(folder: Path) -> list[Version]:
    """Return the directories of a cache; links only lead to them."""
    parts = sorted((part for part in folder.resolve().iterdir() if part.is_dir() and not part.is_symlink()), key=_made)
    newest = [part for part in parts if not _is_half_made(part)][-1:]
    used = {*newest, (folder / "current").resolve(), CHOSEN_ENGINE.resolve().parent}
    commands = "\n".join(process.command for process in processes.running())

    def state(part: Path) -> str:
        if _is_half_made(part):
            return _HALF_MADE
        return _IN_USE if part in used or f"{part}/" in commands or f"{part} " in commands else _OLD

    return [Version(part, state(part), _size(part), _made(part)) for part in parts]


def _is_half_made(part: Path) -> bool:
    return part.name.startswith(".")


def _remove(version: Version) -> None:
    """Remove a version; cut off, it leaves a half-made one."""
    path = version.path
    try:
        if not _is_half_made(path):
            path = path.rename(path.with_name(f".{path.name}.old"))
        shutil.rmtree(path)
    except OSError as fault:
        msg = f"cannot remove {fault.filename or path}: {fault.strerror}; remove it by hand"
        raise PlatformError(msg) from None
    say(f"removed {version.name} ({version.size / _MEGABYTE:.0f} MB)")


def _made(part: Path) -> float:
    return part.stat().st_mtime


def _size(part: Path) -> int:
    total = 0
    for folder, _, files in os.walk(part):
        for name in files:
            with contextlib.suppress(FileNotFoundError):  # a set-up may be at work
                total += Path(folder, name).lstat().st_size
    return total
