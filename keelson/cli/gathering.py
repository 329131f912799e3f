"""The project's own checks, in a directory that can be sent to where they are run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keelson.backups.drills.checks import read_checks
from keelson.cli.context import Context


@contextmanager
def gathered_checks(chosen: Context, names: Iterable[str], given: Path | None) -> Iterator[Path]:
    """Give a directory with the checks of each service, which can be sent to where the drill is."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="keelson-checks-") as directory:
        for name in names:
            own = Path(directory) / name
            own.mkdir()
            for file, text in read_checks(chosen.stack.root / chosen.stack.directory(name) / "checks").items():
                (own / file).write_text(text, encoding="utf-8")
        yield Path(directory)
