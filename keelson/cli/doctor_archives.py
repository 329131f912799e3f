"""What `keelson doctor` says of the archives of whole servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg

from keelson.endpoint import Reference
from keelson.errors import BackupError
from keelson.settings import point_in_time
from keelson.settings.stack import Stack
from keelson.status import archives


def looks(stack: Stack) -> Iterator[tuple[str, Callable[[], str]]]:
    """Give each server that keeps an archive, with what says how that is, or raises KeelsonError where something is wrong with it."""
    for name in stack.settings.servers:
        if point_in_time.is_archived(stack.settings, name):
            yield name, lambda name=name: _look(stack, name)  # type: ignore[misc]


def _look(stack: Stack, server: str) -> str:
    reference = Reference(stack=stack.key, target=stack.settings.place, server=server)
    try:
        found = archives.of_stack(stack, reference, stack.settings.point_in_time.waiting_bytes)
    except psycopg.Error as fault:
        msg = f"the archive of {server} cannot be asked ({str(fault).strip().splitlines()[0]}); look at `keelson logs {server}`"
        raise BackupError(msg) from None
    if found.fault:
        raise BackupError(found.fault)
    since = f"{found.backed_up:%Y-%m-%d %H:%M} UTC" if found.backed_up else "not made yet"
    return f"the log arrives there, the newest backup is {'of ' if found.backed_up else ''}{since}"
