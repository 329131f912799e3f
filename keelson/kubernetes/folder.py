"""A folder of rendered files: what lies there of others is never touched, and what is not wanted any more goes.

A file is one of ours where its first line says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from keelson.errors import OwnershipError, PlatformError

MOST_NAMES = 3  # in a sentence


@dataclass(frozen=True)
class Written:
    """The names of the files that are new, that have changed, and that were removed."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def write(folder: Path, files: Mapping[str, str], mark: str) -> Written:
    """Make a folder hold `files`, the first line of each of which has `mark`; those that are as they should be are left alone.

    Raises:
        OwnershipError: a file would take the place of another's; nothing was written.
        PlatformError: this machine refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(folder, files, mark)
        there = {path.name: path.read_text(encoding="utf-8") for path in _ours(folder, mark)}
        for name, text in files.items():
            if there.get(name) != text:
                _write(folder / name, text)
        for name in (gone := there.keys() - files.keys()):
            (folder / name).unlink()
    except OSError as fault:
        msg = f"cannot write {fault.filename or folder}: {fault.strerror}; name a folder that you may write to"
        raise PlatformError(msg) from None
    changed = (name for name, text in files.items() if name in there and there[name] != text)
    return Written(_named(files.keys() - there.keys()), _named([*changed]), _named(gone))


def _refuse_foreign(folder: Path, wanted: Collection[str], mark: str) -> None:
    there = {path.name for path in folder.iterdir()} & set(wanted)
    if foreign := _named(there - {path.name for path in _ours(folder, mark)}):
        more = f" and {len(foreign) - MOST_NAMES} more" if len(foreign) > MOST_NAMES else ""
        msg = f"{folder} has {', '.join(foreign[:MOST_NAMES])}{more}, which this stack did not render; move them away, or name another folder"
        raise OwnershipError(msg)


def _ours(folder: Path, mark: str) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.is_symlink() and mark in _first_line(path)]


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline(1000).decode(errors="replace")


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.part")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _named(found: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(found))
