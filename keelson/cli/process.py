"""Start, stop and restart the parts of a stack."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from keelson.cli.context import Context, StackOption, context
from keelson.cli.lifecycle import NewPort
from keelson.cli.output import note, say
from keelson.local import login
from keelson.target import target

PartsArgument = Annotated[list[str] | None, typer.Argument(help="Parts such as main; all where none is named.")]


def start(
    parts: PartsArgument = None,
    stack: StackOption = None,
    *,
    new_port: NewPort = False,
    at_login: Annotated[
        bool | None,
        typer.Option("--at-login/--not-at-login", help="Start the stack whenever you log in, or no longer."),
    ] = None,
) -> None:
    """Start what is down, for example after a reboot, and wait until it answers.

    Example: keelson start --at-login
    """
    chosen = context(stack)
    if at_login is False:
        say(login.undo(chosen.stack.key))
        return
    _start(chosen, parts or [], new_port=new_port)
    if at_login:
        command = [sys.executable, "-m", "keelson", "start", "--stack", chosen.stack_name]
        say(login.start_at_login(chosen.stack.key, command, chosen.project.root))


def stop(parts: PartsArgument = None, stack: StackOption = None) -> None:
    """Stop parts cleanly; their data stays.

    Example: keelson stop timescale
    """
    chosen = context(stack)
    target(chosen.stack.settings.target).stop(chosen.stack.key, parts or ())


def restart(parts: PartsArgument = None, stack: StackOption = None) -> None:
    """Stop parts and start them again.

    Example: keelson restart main
    """
    chosen = context(stack)
    target(chosen.stack.settings.target).stop(chosen.stack.key, parts or ())
    _start(chosen, parts or [], new_port=False)


def _start(chosen: Context, parts: list[str], *, new_port: bool) -> None:
    place = target(chosen.stack.settings.target)
    for sentence in place.start(chosen.stack.key, parts, new_port=new_port):
        note(sentence)
    for part in place.parts(chosen.stack.key):
        if not parts or part.name in parts:
            say(f"{part.name} answers on port {part.port}" if part.answering else f"{part.name} does not answer")
