"""Progress of what takes longer than a second: on the terminal's standard error, never in a pipe."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

TERMINATED = 128 + signal.SIGTERM

Advance = Callable[[str], None]  # says what is done next; one step more is done
Counted = Callable[[int], None]  # says how many bytes more have passed
Begin = Callable[[str, int | None], Counted]  # says what comes, and how many bytes that is if that is known


@contextmanager
def progress(title: str, steps: int) -> Iterator[Advance]:
    """Show a bar of `steps` while the block runs; the block calls what it gets before each step, with the step's name."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=steps)
        begun = 0

        def advance(step: str) -> None:
            nonlocal begun
            bar.update(task, description=f"{title}: {step}", completed=begun)
            begun += 1

        yield advance


@contextmanager
def working(title: str) -> Iterator[None]:
    """Show a spinner and the time while the block runs, for what has no steps to count."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        shown.add_task(title, total=None)
        yield


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

            def begin(name: str, total: int | None) -> Counted:
                bar.reset(task, description=f"{title}: {name}", total=total)
                return lambda count: bar.advance(task, count)

            yield begin
    finally:
        signal.signal(signal.SIGTERM, before)
