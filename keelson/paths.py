"""Where Keelson keeps things: the XDG directories, each made with mode 0700.

| what | where |
|---|---|
| caches: engine, private root, pgAdmin, uv | $XDG_CACHE_HOME/keelson |
| a stack's data directories and backups | $XDG_DATA_HOME/keelson |
| a stack's registry, secrets, logs; Pulumi's state | $XDG_STATE_HOME/keelson |
| sockets | $XDG_RUNTIME_DIR/keelson, else a directory of the user's in /tmp |
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from keelson.errors import PlatformError

SOCKET_PATH_LIMIT = 107  # bytes that fit into sockaddr_un.sun_path

_state: ContextVar[Path | None] = ContextVar("state", default=None)


def cache() -> Path:
    """Return the directory of the caches, shared by all checkouts."""
    return _xdg("XDG_CACHE_HOME", ".cache") / "keelson"


def data() -> Path:
    """Return the directory of the data that stacks keep."""
    return _xdg("XDG_DATA_HOME", ".local/share") / "keelson"


def state() -> Path:
    """Return the directory of registries, logs and Pulumi's file backend."""
    return _state.get() or _xdg("XDG_STATE_HOME", ".local/state") / "keelson"


@contextmanager
def state_in(directory: Path) -> Iterator[None]:
    """Let the block, in this thread, take `directory` for that of registries."""
    before = _state.set(directory)
    try:
        yield
    finally:
        _state.reset(before)


def runtime(name: str, longest: str) -> Path:
    """Return a short directory for the sockets of `name`, of which `longest` is the longest file name."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    directory = Path(base) / "keelson" / name if base else _short(name)
    if len(os.fsencode(directory / longest)) > SOCKET_PATH_LIMIT:
        directory = _short(f"{directory}")
    return directory


def private_directory(path: Path) -> Path:
    """Make `path` and its missing parents with mode 0700 and return it.

    Raises:
        PlatformError: the directory cannot be made, for example in a read-only home, or belongs to another user.
    """
    try:
        for part in reversed((path, *path.parents)):
            if part == path or not part.exists():
                part.mkdir(mode=0o700, exist_ok=True)
                _refuse_strangers(part)
                part.chmod(0o700)  # whatever the umask says
    except OSError as fault:
        msg = f"cannot make the directory {path}: {fault.strerror}; free the place or set the XDG_* variables to another one"
        raise PlatformError(msg) from None
    return path


def _refuse_strangers(directory: Path) -> None:
    """Refuse a directory that somebody else made, for example under a known name in the temporary directory."""
    if directory.stat().st_uid != os.geteuid():
        msg = (
            f"the directory {directory} belongs to another user; remove it, or set the XDG_* variables to another place"
        )
        raise PlatformError(msg)


def write_private(path: Path, text: str) -> None:
    """Replace the file `path` in one step; mode 0600."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as fault:
        msg = f"cannot write {path}: {fault.strerror}; make room or give write access and run the command again"
        raise PlatformError(msg) from None


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default


def _short(name: str) -> Path:
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"keelson-{os.getuid()}" / digest
