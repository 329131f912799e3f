"""Progress of what is measured in bytes, and an end by SIGTERM that cleans up like one by Ctrl-C."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

TERMINATED = 128 + signal.SIGTERM

Begin = Callable[
    [str, int | None], Callable[[int], None]
]  # says what comes, and how many bytes that is if that is known


@contextmanager
def transfer(title: str) -> Iterator[Begin]:
    """Show a bar of bytes on the terminal's standard error, nothing in a pipe; end cleanly by SIGTERM too.

    The block calls what it gets before each thing, and what that returns for the bytes that were written or read.
    """
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(title, total=None)

            def begin(name: str, total: int | None) -> Callable[[int], None]:
                bar.reset(task, description=f"{title}: {name}", total=total)
                return lambda count: bar.advance(task, count)

            yield begin
    finally:
        signal.signal(signal.SIGTERM, before)
