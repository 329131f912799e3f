"""The files of a stack's state directory as texts by their paths, as a platform keeps them that has no directory for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from keelson import paths
from keelson.errors import PlatformError

_LOCK = "lock"  # how its name ends


def read(directory: Path) -> dict[str, str]:
    """Return the files of a directory, without locks and what is only being written."""
    found = (path for path in sorted(directory.rglob("*")) if path.is_file())
    kept = (path for path in found if not path.name.startswith(".") and not path.name.endswith(_LOCK))
    return {path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8") for path in kept}


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Write files below a directory, each in one step, for this user alone; raises PlatformError where a path leads out of it."""
    paths.private_directory(directory)
    for name, text in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            msg = f"the state of a stack has a file {name!r}, which lies outside of it; somebody else wrote that, so look who may"
            raise PlatformError(msg)
        target = directory / path
        paths.private_directory(target.parent)
        paths.write_private(target, text)
