"""A server's directory on this machine: made, recognised, moved and removed.

It holds `keelson.json` (the marker: whose it is), `pgdata` (PostgreSQL's own), `tls`, `run` (sockets) and `server.lock`
(held by the server's processes). A program in the private root sees it as /data.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from keelson import paths
from keelson.errors import KeelsonError, ServerError
from keelson.local import configuration, marks, shared_memory, supervisor
from keelson.local import root as private_root
from keelson.local.locks import exclusive
from keelson.local.registry import Registry, new_password
from keelson.local.root import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from keelson.local.root import PrivateRoot
    from keelson.local.spec import ServerSpec

MOVED_TO = "moved_to"  # in the marker of a directory whose copy on another file system is complete
UNFINISHED = "pgdata.init"  # start of the name of a directory that initdb writes to
ADMINISTRATOR = "postgres"
UNRECORDED = {  # so that a statement with a password stands in no log and in no statistics
    "exit_on_error": "on",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "shared_preload_libraries": "",
}


def make_data_directory(spec: ServerSpec) -> Path:
    """Initialise a server's data, or recognise what is there; a half-done initialisation is begun anew.

    Raises:
        ServerError: the directory is another's, or of another major version; nothing was changed.
    """
    root = private_root.find()
    registry = Registry(spec.key)
    registry.claim(spec.stack_id)
    with alone(spec.key, spec.name):
        examine(spec, root)
        paths.private_directory(spec.directory)
        if marks.read(spec.directory) is None:
            marks.write(spec.directory, spec.key, spec.stack_id, spec.name, major=root.postgres_major)
        if not (spec.directory / "pgdata").exists():
            _initialise(spec, root, registry.ensure_password(spec.name, ADMINISTRATOR))
    return spec.directory


def examine(spec: ServerSpec, root: PrivateRoot) -> None:
    """Check that a directory is the server's own, or empty.

    Raises:
        ServerError: it is not.
    """
    unmarked = f"{spec.directory} is neither empty nor Keelson's; name an empty directory for server {spec.name}"
    marker = marks.refuse_others(spec.directory, spec.stack_id, spec.name, unmarked)
    if marker is None:
        return
    if (moved := marker.get(MOVED_TO)) and marks.read(Path(moved)) is not None:
        msg = f"the data of server {spec.name} were moved to {moved}; name that as its data_directory in the settings"
        raise ServerError(msg)
    major = marks.text(spec.directory / "pgdata" / "PG_VERSION") or str(marker.get("major"))
    if major != str(root.postgres_major):
        msg = (
            f"the data in {spec.directory} is of PostgreSQL {major} and this installation runs {root.postgres_major}; "
            f"export it with the old version, and import it into an empty data directory"
        )
        raise ServerError(msg)


def remove_data(key: str, stack_id: str, name: str, directory: Path) -> None:
    """Stop a server and remove its directory, its passwords and its entry in the registry.

    Raises:
        ServerError: the directory is another's.
    """
    with alone(key, name):
        unmarked = f"{directory} does not bear the mark of stack {key} and was kept; look at it and remove it by hand"
        marks.refuse_others(directory, stack_id, name, unmarked)
        supervisor.remove(key, name)
        shared_memory.release(directory / "pgdata")
        marks.remove_tree(directory)
        Registry(key).forget(name)
        Registry(key).forget_passwords(name)


def move_data(spec: ServerSpec, old: Path) -> Path:
    """Stop a server and move its directory from `old` to where the specification says; `start` starts it again.

    Raises:
        ServerError: `old` is not the server's, the new place is not empty, or there is no data in either.
    """
    root = private_root.find()
    with alone(spec.key, spec.name):
        if old != spec.directory and marks.read(old) is not None:
            _move_from(old, spec, root)
        require_data(spec, root)
        return spec.directory


def require_data(spec: ServerSpec, root: PrivateRoot) -> None:
    """Check that a directory holds the server's own data.

    Raises:
        ServerError: it does not.
    """
    examine(spec, root)
    if not (spec.directory / "pgdata" / "PG_VERSION").exists():
        msg = (
            f"the data of server {spec.name} is missing ({spec.directory}); "
            "mount its disk or put it back, or run `keelson up` if it was never made"
        )
        raise ServerError(msg)


def renew_password(spec: ServerSpec, root: PrivateRoot) -> None:
    """Give the administrator of a server that does not run a new password, in place of one that was lost.

    Raises:
        ServerError: the server's data cannot be opened.
    """
    password = new_password()
    statement = f"ALTER ROLE {ADMINISTRATOR} PASSWORD '{password}'\n"  # no character of a password needs quotes
    argv = [root.program("postgres"), "--single", "-D", f"{DATA}/pgdata", *_parameter_options(UNRECORDED), "postgres"]
    root.run(argv, data=spec.directory, stdin=statement.encode())
    Registry(spec.key).set_password(spec.name, ADMINISTRATOR, password)


def bears_mark(directory: Path) -> bool:
    """Return whether a directory is that of a server, of whichever stack."""
    return marks.read(directory) is not None


def owner(key: str) -> str | None:
    """Return the stack id that the data of a stack bear at their usual place; None if there are none or they disagree."""
    markers = (marks.read(directory) for directory in (paths.data() / "stacks" / key).glob("*"))
    ids = {str(marker["stack_id"]) for marker in markers if marker and "stack_id" in marker}
    return ids.pop() if len(ids) == 1 else None


def alone(key: str, name: str) -> AbstractContextManager[None]:
    """Hold the lock under which a server is made, started, moved and removed."""
    return exclusive(Registry(key).directory / f"server-{name}.lock", seconds=600)


def _initialise(spec: ServerSpec, root: PrivateRoot, password: str) -> None:
    """Make `pgdata` under another name first: a killed run's initdb may still write to its own for a moment."""
    try:
        work = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=spec.directory))
        root.run(
            [root.program("initdb"), *_initdb_options(work.name)], data=spec.directory, stdin=f"{password}\n".encode()
        )
        with (work / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"\n{configuration.INCLUDE}\n")
        (work / "keelson.conf").touch(mode=0o600)
        work.rename(spec.directory / "pgdata")
    except (ServerError, OSError) as fault:
        msg = (
            f"cannot make the data of server {spec.name} in {spec.directory}: {fault}; "
            "make room there and run `keelson up` again"
        )
        raise ServerError(msg) from None
    finally:
        for left in spec.directory.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)


def _parameter_options(parameters: Mapping[str, str]) -> list[str]:
    return [word for name, value in parameters.items() for word in ("-c", f"{name}={value}")]


def _initdb_options(name: str) -> list[str]:
    return [
        *("-D", f"{DATA}/{name}", "--username", ADMINISTRATOR, "--pwfile=/dev/stdin"),
        *("--data-checksums", "--encoding=UTF8", "--auth=scram-sha-256", "--sync-method=syncfs"),
        *("--locale=C.UTF-8", "--locale-provider=builtin"),  # its order never changes with the operating system
    ]


def _move_from(old: Path, spec: ServerSpec, root: PrivateRoot) -> None:
    marker, new = marks.read(old) or {}, spec.directory
    if not marks.is_ours(marker, spec.stack_id, spec.name):
        raise marks.foreign(old, marker)
    examine(spec, root)
    copied = marks.read(new) is not None
    if copied and marker.get(MOVED_TO) != str(new):  # somebody else's copy may be older
        msg = f"both {old} and {new} hold the data of server {spec.name}; remove the one that is out of date"
        raise ServerError(msg)
    supervisor.remove(spec.key, spec.name)
    if not copied:
        _move(old, new)
    marks.remove_tree(old)


def _move(old: Path, new: Path) -> None:
    """Rename, or copy to the other file system and rename there."""
    if not new.parent.exists():
        paths.private_directory(new.parent)
    with contextlib.suppress(FileNotFoundError):
        new.rmdir()
    try:
        old.rename(new)
    except OSError as fault:
        if fault.errno != errno.EXDEV:
            raise _unmovable(old, new, fault) from None
        _copy(old, new)


def _copy(old: Path, new: Path) -> None:
    part = new.with_name(f".{new.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(old, part, symlinks=True, ignore=shutil.ignore_patterns(".s.PGSQL.*"))
        _sync(part)
        paths.write_private(old / marks.MARKER, json.dumps({**(marks.read(old) or {}), MOVED_TO: str(new)}) + "\n")
        part.rename(new)
    except (OSError, shutil.Error) as fault:
        shutil.rmtree(part, ignore_errors=True)
        raise _unmovable(old, new, fault) from None


def _unmovable(old: Path, new: Path, fault: Exception) -> KeelsonError:
    return ServerError(
        f"cannot move {old} to {new}: {fault}; make room there, or name another data directory in the settings"
    )


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)
