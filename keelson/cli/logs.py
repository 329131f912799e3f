"""Read what a part of the stack logged."""

from __future__ import annotations

from typing import Annotated

import typer

from keelson.cli.completion import complete_part
from keelson.cli.context import context
from keelson.cli.options import StackOption
from keelson.target import target


def logs(
    part: Annotated[str, typer.Argument(help="A part of the stack, for example main.", autocompletion=complete_part)],
    stack: StackOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
) -> None:
    """Print the last lines of a part's log.

    Example: keelson logs main -f
    """
    chosen = context(stack)
    target(chosen.stack.settings.place).show_log(chosen.stack.key, part, lines, follow=follow)
