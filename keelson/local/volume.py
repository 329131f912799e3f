"""The directory of a daemon's data: marked, so that it is removed only by the stack that made it."""

from __future__ import annotations

from pathlib import Path

from keelson import paths
from keelson.local import marks
from keelson.local.data_directory import alone, remove_data
from keelson.local.registry import Registry


def directory(key: str, name: str) -> Path:
    """Return where the data of a stack's daemon lies."""
    return paths.data() / "stacks" / key / name


def make(key: str, stack_id: str, name: str) -> Path:
    """Make a daemon's directory, or recognise it, and return it.

    Raises:
        ServerError: it is another's; nothing was changed.
    """
    Registry(key).claim(stack_id)
    place = directory(key, name)
    with alone(key, name):
        unmarked = f"{place} is neither empty nor Keelson's; move what lies there away"
        marker = marks.refuse_others(place, stack_id, name, unmarked)
        paths.private_directory(place)
        if marker is None:
            marks.write(place, key, stack_id, name)
    return place


def remove(key: str, stack_id: str, name: str) -> None:
    """Stop a daemon and remove its directory, its passwords and its entry in the registry; a second time is fine.

    Raises:
        ServerError: the directory is another's.
    """
    remove_data(key, stack_id, name, directory(key, name))
