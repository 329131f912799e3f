"""The mark that the directory of a stack's part bears: whose it is. It goes last when the directory is removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from keelson import paths
from keelson.errors import ServerError

MARKER = "keelson.json"
IGNORED = {"lost+found", MARKER}


def read(directory: Path) -> dict[str, Any] | None:
    """Return what a directory's marker says, nothing if it cannot be read; None where there is none."""
    found = text(directory / MARKER)
    if not found:
        return None
    try:
        marker = json.loads(found)
    except ValueError:
        marker = {}
    return marker if isinstance(marker, dict) else {}


def write(directory: Path, key: str, stack_id: str, name: str, **more: object) -> None:
    """Mark a directory as that of a stack's part."""
    marker = {"stack_id": stack_id, "key": key, "server": name, **more}
    paths.write_private(directory / MARKER, json.dumps(marker) + "\n")


def is_ours(marker: dict[str, Any], stack_id: str, name: str) -> bool:
    """Return whether a marker is that of a stack's part."""
    return marker.get("stack_id") == stack_id and marker.get("server") == name


def refuse_others(directory: Path, stack_id: str, name: str, unmarked: str) -> dict[str, Any] | None:
    """Return the marker of a directory that is a part's own; None where it is empty or missing.

    Raises:
        ServerError: it is another's, or, in the words of `unmarked`, holds something and bears no mark.
    """
    marker = read(directory)
    if marker is None and entries(directory):
        raise ServerError(unmarked)
    if marker is not None and not is_ours(marker, stack_id, name):
        raise foreign(directory, marker)
    return marker


def foreign(directory: Path, marker: dict[str, Any]) -> ServerError:
    """Return the error for a directory that is somebody else's."""
    if not marker:
        return ServerError(
            f"{directory} bears no readable mark of Keelson; name another data directory in the settings"
        )
    return ServerError(
        f"{directory} belongs to server {marker.get('server')} of stack {marker.get('key')} "
        f"(id {marker.get('stack_id')}); name another data directory in the settings"
    )


def entries(directory: Path) -> set[str]:
    """Return what lies in a directory beside its marker."""
    try:
        return set(os.listdir(directory)) - IGNORED  # noqa: PTH208  # names are all that is asked for
    except FileNotFoundError:
        return set()
    except OSError as fault:
        msg = f"cannot look into {directory}: {fault.strerror}; name another data directory in the settings"
        raise ServerError(msg) from None


def remove_tree(directory: Path) -> None:
    """Remove a directory, its marker last, so that a killed removal is still known as ours."""
    try:
        for entry in sorted(directory.glob("*")):
            if entry.name != MARKER:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        (directory / MARKER).unlink(missing_ok=True)
    except OSError as fault:
        msg = f"cannot remove {directory}: {fault.strerror} ({fault.filename}); give write access and run the command again"
        raise ServerError(msg) from None
    with contextlib.suppress(OSError):  # not empty, a mount point, or gone
        directory.rmdir()


def text(path: Path) -> str:
    """Return what stands in a small file, nothing if there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as fault:
        msg = f"cannot read {path}: {fault}; give its owner back the right to read it"
        raise ServerError(msg) from None
