"""Where a server's archive is reached from this process: on the machine that runs the server, or inside a stack."""

from __future__ import annotations

from pathlib import Path

from keelson import inside
from keelson.backups.physical.archiving import Archiving
from keelson.backups.physical.engine import Workplace


def find(key: str, server: str, cluster: str = "") -> tuple[Workplace, Archiving]:
    """Return the archive of a server as it was last set up; raises ServerError where it has none.

    Args:
        key: the stack's key.
        server: its name.
        cluster: which of the database clusters that the server ever was; by default what it is now, or was last where its data are lost.
    """
    if inside.here():
        from keelson.inside import archive as there  # noqa: PLC0415 - one of the two is needed

        return there.find(key, server, cluster)
    from keelson.local import archive  # noqa: PLC0415

    return archive.find(key, server, cluster)


def clusters(key: str, server: str) -> list[str]:
    """Return the database clusters of which a server has an archive, the newest last."""
    if inside.here():
        from keelson.inside import archive as there  # noqa: PLC0415

        return there.clusters(key, server)
    from keelson.local import archive  # noqa: PLC0415

    return archive.clusters(key, server)


def into(key: str, place: Workplace, directory: Path) -> Workplace:
    """Return an archive whose `restore` writes to a directory of this process."""
    if inside.here():
        from keelson.inside import archive as there  # noqa: PLC0415

        return there.into(place, directory)
    from keelson.local import archive  # noqa: PLC0415

    return archive.into(key, place, directory)


def is_present(key: str, place: Workplace) -> bool:
    """Say whether an archive is that of the cluster that the server is now."""
    return find(key, place.server)[0].repository.name == place.repository.name
