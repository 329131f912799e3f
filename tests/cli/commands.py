"""All commands of the command line, as Typer knows them."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from typer.core import TyperCommand, TyperGroup

from keelson.cli.application import application
from keelson.cli.lazy import Deferred


def root() -> TyperGroup:
    group = typer.main.get_command(application)
    assert isinstance(group, TyperGroup)
    return group


def deferred(group: TyperGroup | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Deferred]]:
    """Each command that does something, with the words that name it, before it is called."""
    for name, command in (group or root()).commands.items():
        if isinstance(command, TyperGroup):
            yield from deferred(command, (*path, name))
        else:
            assert isinstance(command, Deferred)
            yield (*path, name), command


def every() -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Each command itself, with the words that name it."""
    for path, command in deferred():
        yield path, command.load()
