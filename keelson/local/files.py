"""Directories that are the user's alone, all the way down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelson import paths

if TYPE_CHECKING:
    from pathlib import Path


def private_directory(path: Path) -> Path:
    """Make `path` and each missing parent with mode 0700, and return it.

    Raises:
        PlatformError: a directory cannot be made.
    """
    for part in reversed((path, *path.parents)):
        if part == path or not part.exists():
            paths.private_directory(part)
    return path
