"""A step of a restore, in a container of its own that sees the volumes of one server: `python3 -I -m keelson.inside.restoring`.

What is asked stands in the variable KEELSON_ASKED, as JSON: `step` (a function below by its name) and its arguments. The last line of
standard output is the answer, in the form of `keelson.inside.session`. It works as the server's own user, and reaches no network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from keelson.backups.physical import choosing
from keelson.backups.physical.archiving import Layout
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Goal
from keelson.containers.archive import DATA, IN_CONTAINER
from keelson.containers.model import CONFIG
from keelson.errors import BackupError, KeelsonError
from keelson.local import exchanging
from keelson.local.recovering import recover
from keelson.local.root import plain_environment

VARIABLE = "KEELSON_ASKED"
READABLE = 0o640  # by the agent's group
RESTORING = "restoring"  # on the volume of the data, where those are made that take their place


@dataclass(frozen=True)
class Volumes:
    """A server's archive as this container sees it; see `keelson.backups.physical.engine.Workplace`."""

    server: str
    repository: Path
    reading: Layout
    layout: Layout = IN_CONTAINER

    def run(self, argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[bytes]:
        """Run a program here: there is no server beside it."""
        return subprocess.run([*argv], capture_output=True, env=plain_environment(), timeout=seconds, check=False)

    read = run


def reach(server: str, cluster: str, goal: dict[str, Any]) -> str:
    """Restore a backup, bring it forward, and return when its last transaction was committed; empty where none came after it.

    Args:
        server: its name, for messages.
        cluster: whose archive it is.
        goal: the fields of a Goal.
    """
    base = Path(DATA) / RESTORING
    _clear(base)
    repository = Path(IN_CONTAINER.archive) / cluster
    moment = goal["moment"] and datetime.fromisoformat(goal["moment"])
    (base / "pgdata").mkdir(mode=0o700)
    place = Volumes(server, repository, Layout(str(base), CONFIG, str(repository)))
    try:
        ENGINE.restore(place, Goal(**{**goal, "moment": moment}))
        last = recover(base, repository, server, config_file=f"{CONFIG}/postgresql.conf")
    except OSError as fault:
        msg = f"the restore of {server} failed: {fault}; make room on the disk of the daemon's volumes and try again"
        raise BackupError(msg) from None
    return last.isoformat() if last else ""


def _clear(base: Path) -> None:
    """Remove what a restore that was killed left."""
    for left in base.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def exchange(before: str) -> None:
    """Put what was reached into the place of the data, if there are any, which are kept as `before`."""
    data = Path(DATA)
    exchanging.exchange(data / RESTORING / "pgdata", data / before, data / "pgdata")


def put_back(before: str) -> None:
    """Undo that."""
    exchanging.put_back(Path(DATA), Path(DATA) / before)


def note(since: str = "") -> None:
    """Keep in the archive on which timeline the data are, if it does not know of that."""
    for repository in Path(IN_CONTAINER.archive).glob("[0-9]*"):
        exchanging.note_branch(Path(DATA), repository, datetime.fromisoformat(since) if since else None)
        if (notes := repository / choosing.NOTES).exists():
            notes.chmod(READABLE)


_STEPS = {each.__name__: each for each in (reach, exchange, put_back, note)}


def main() -> int:
    """Do what is asked, and answer."""
    asked = json.loads(os.environ.pop(VARIABLE))
    try:
        answer: dict[str, Any] = {"answer": _STEPS[asked.pop("step")](**asked)}
    except KeelsonError as fault:
        answer = {"error": type(fault).__name__, "sentence": str(fault)}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
