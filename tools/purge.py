"""`python -m tools.purge STACK`: remove what a destroyed stack of this checkout left on the machine, its backups too."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from keelson import paths
from keelson.backups.physical.archiving import PHYSICAL, keys
from keelson.backups.store import Store
from keelson.errors import KeelsonError
from keelson.project import find_project
from keelson.settings.stack import stack_key
from keelson.stack import Engine, run


def _purge(target: str, place: str, key: str) -> Iterator[str]:
    """Remove what the stack left on its platform, where that is not this machine."""
    if target == "docker":
        from keelson.docker.purging import purge  # noqa: PLC0415

        yield from purge(place, key)
    if target == "kubernetes":
        from keelson.kubernetes.purging import purge as purge_namespace  # noqa: PLC0415

        yield from purge_namespace(place, key)


def main(stack: str) -> None:
    """Remove the stack's directories, and the stack with its history from the backend; say so."""
    project = find_project()
    key = stack_key(project.name, stack)
    settings = project.stack(stack).settings
    for name in _purge(settings.target, settings.place, key):
        print(f"removed {name}")
    backups = Store(key, settings.backup.directory).directory
    archived = settings.point_in_time.directory or settings.backup.directory or paths.data() / "backups"
    own = (paths.data() / "stacks" / key, backups, archived / PHYSICAL / key, keys(key), paths.state() / "stacks" / key)
    for directory in own:
        if directory.exists():
            shutil.rmtree(directory)
            print(f"removed {directory}")
    if Engine(project, stack).exists():
        run(project, "stack", "rm", stack, "--yes", "--preserve-config", "--remove-backups", stack=stack)
        print(f"removed stack {stack} and its history from the backend")


try:
    main(*sys.argv[1:2] or ["dev"])
except (KeelsonError, OSError) as fault:
    sys.exit(f"keelson: {fault}")
