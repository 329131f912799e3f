"""How the archive of a server of a stack is, whoever keeps it."""

from __future__ import annotations

from keelson.backups.physical.state import ArchiveState
from keelson.endpoint import Reference
from keelson.settings.stack import Stack
from keelson.target import target


def of_stack(stack: Stack, reference: Reference, limit: int) -> ArchiveState:
    """Return how the archive of a server is, of which `limit` bytes may wait; raises KeelsonError or psycopg.Error where it cannot be asked."""
    if stack.settings.target != "kubernetes":
        return target(reference.target).archives().state(reference, limit)
    from keelson.kubernetes import archives  # noqa: PLC0415 - a platform loads only what it needs

    settings = stack.settings.point_in_time
    return archives.look(reference, settings.archive, settings.schedule)
