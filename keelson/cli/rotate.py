"""Give services other logins, and let the ones of before end a while later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from keelson.cli import lifecycle
from keelson.cli.context import Context, context
from keelson.cli.due import raise_generation
from keelson.cli.lifecycle import Yes
from keelson.cli.options import StackOption
from keelson.cli.output import note
from keelson.errors import SettingsError
from keelson.rotation import FIRST, Turn, in_use, set_aside
from keelson.target import target


def rotate(
    service: Annotated[str | None, typer.Argument(help="The service; all of the stack where none is named.")] = None,
    stack: StackOption = None,
    *,
    back: Annotated[bool, typer.Option("--back", help="Return to the logins of before.")] = False,
    early: Annotated[
        bool, typer.Option("--early", help="Also where clients may still use the logins of before, which end at once.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Give a service's application and readers another login with a new password; both work for a day (keelson:rotate_overlap).

    It raises keelson:rotation in the stack file, and runs `keelson up`; commit the file.

    Example: keelson rotate auth

    Example: keelson rotate auth --back
    """
    chosen = context(stack)
    names = [service] if service else list(chosen.stack.databases)
    turns = {name: _turn(chosen, name) for name in names}
    wanted = {name: _wanted(chosen, name, turn, back=back) for name, turn in turns.items()}
    if not early and not back:
        for name in names:
            _refuse_early(chosen, name, turns[name])
    for name, generation in wanted.items():
        if generation != chosen.stack.settings.rotation.get(name):
            raise_generation(chosen, name, generation)
        note(f"{name}: {in_use(name, generation)} come into use (keelson:rotation.{name} is {generation})")
    lifecycle.up(stack, yes=yes)


def _turn(chosen: Context, service: str) -> Turn:
    server = chosen.server_of(service)
    return target(chosen.stack.settings.place).turn(chosen.stack.key, server, service)


def _wanted(chosen: Context, service: str, turn: Turn, *, back: bool) -> int:
    """Return the generation that is wanted now; where an earlier wish was not fulfilled yet, that one."""
    asked = chosen.stack.settings.generation_of(service)
    wanted = turn.generation - 1 if back else turn.generation + 1
    if wanted < FIRST:
        msg = f"{service} has the logins that it began with, and none before them; leave out --back"
        raise SettingsError(msg)
    if asked not in {turn.generation, wanted}:
        msg = (
            f"{service} is at generation {turn.generation}, and keelson:rotation.{service} asks for {asked}; run `keelson up` first, or "
            f"write {turn.generation} there"
        )
        raise SettingsError(msg)
    return wanted


def _refuse_early(chosen: Context, service: str, turn: Turn) -> None:
    """Refuse a rotation that would end logins which clients may still use as they were told."""
    if turn.generation == FIRST or not turn.since:
        return
    until = datetime.fromisoformat(turn.since) + timedelta(hours=chosen.stack.settings.rotate_overlap)
    if datetime.now(UTC) < until:
        msg = (
            f"{service} was rotated a while ago, and clients may use {set_aside(service, turn.generation)} until {until:%Y-%m-%d %H:%M} UTC; "
            "wait until then, or add --early"
        )
        raise SettingsError(msg)
