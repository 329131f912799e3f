"""Progress of what takes longer than a second: on the terminal's standard error, never in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Advance = Callable[[str], None]  # says what is done next; one step more is done


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
