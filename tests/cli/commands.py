"""All commands of the command line, as Typer knows them."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from typer.core import TyperGroup

from keelson.cli.application import application


def root() -> TyperGroup:
    group = typer.main.get_command(application)
    assert isinstance(group, TyperGroup)
    return group


def every(
    group: TyperGroup | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], typer.core.TyperCommand]]:
    """Each command that does something, with the words that name it."""
    for name, command in (group or root()).commands.items():
        if isinstance(command, TyperGroup):
            yield from every(command, (*path, name))
        else:
            yield (*path, name), command  # type: ignore[misc]
