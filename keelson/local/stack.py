"""A stack's entry on this machine: its id, and what bears its key."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path

from keelson import paths
from keelson.errors import PlatformError
from keelson.local import data_directory, login, recovery, supervisor
from keelson.local.registry import Registry

ID_BYTES = 6


def register(key: str, environment: str) -> str:
    """Make a stack's entry, or recognise the one that is there, and return the stack's id.

    Where the entry was lost, the stack's data tell the id, so that they are found again.

    Raises:
        SettingsError: the key cannot name a directory.
        PlatformError: the directories cannot be made.
    """
    registry = Registry(key)
    known = registry.stack()
    stack_id = known.stack_id if known else data_directory.owner(key) or secrets.token_hex(ID_BYTES)
    return registry.claim(stack_id, environment=environment).stack_id


def remove(key: str, stack_id: str) -> None:
    """Stop all that runs for a stack, and remove its registry, secrets, logs, certificates, start at login.

    A second time is fine.
    Where data of the stack was retained, registry and secrets stay: without them nobody gets at the data again.

    Raises:
        OwnershipError: they belong to another stack id.
        ServerError: a process does not end.
    """
    registry = Registry(key)
    if registry.stack() is not None:
        registry.claim(stack_id)
    login.undo(key)
    recovery.discard_all(key)
    supervisor.shutdown(key)
    _remove_tree(supervisor.socket_path(key).parent)
    if _has_data(key):
        for directory in (supervisor.directory(key), supervisor.log_file(key, "").parent):
            _remove_tree(directory)
    else:
        _remove_tree(registry.directory)
    for emptied in (paths.data() / "stacks" / key, paths.data() / "stacks", registry.directory.parent):
        with contextlib.suppress(OSError):  # holds retained data or another stack, or is gone
            emptied.rmdir()


def _has_data(key: str) -> bool:
    """Return whether data of the stack was retained: of a server wherever it lies, or of a daemon."""
    places = [Path(server.data_directory) for server in Registry(key).servers().values()]
    return any(map(data_directory.bears_mark, [*places, *(paths.data() / "stacks" / key).glob("*")]))


def _remove_tree(directory: Path) -> None:
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except OSError as fault:
        msg = f"cannot remove {directory}: {fault.strerror}; give write access and run the command again"
        raise PlatformError(msg) from None
