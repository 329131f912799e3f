"""Start, stop and restart the parts of a stack."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from keelson.cli.completion import complete_part
from keelson.cli.context import Context, context
from keelson.cli.lifecycle import NewPort
from keelson.cli.options import StackOption
from keelson.cli.output import note, say
from keelson.cli.progress import working
from keelson.errors import SettingsError
from keelson.local import login
from keelson.target import Part, target

PartsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Parts such as main; all where none is named.", autocompletion=complete_part),
]


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
    if at_login is not None and chosen.stack.settings.target != "local":
        who = {"docker": "Docker starts the containers"}.get(
            chosen.stack.settings.target, "the cluster starts the pods"
        )
        msg = f"{who} of stack {chosen.stack_name} again by itself, also after a reboot, until `keelson stop`; --at-login is for the target local"
        raise SettingsError(msg)
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
    _stop(context(stack), parts or [])


def restart(parts: PartsArgument = None, stack: StackOption = None) -> None:
    """Stop parts and start them again.

    Example: keelson restart main
    """
    chosen = context(stack)
    _stop(chosen, parts or [])
    _start(chosen, parts or [], new_port=False)


def _start(chosen: Context, parts: list[str], *, new_port: bool) -> None:
    """Start, and say of each part how it is; raises KeelsonError when one does not start."""
    place = target(chosen.stack.settings.place)
    with working(f"starting {', '.join(parts) or 'all parts'}"):
        notes = place.start(chosen.stack.key, parts, new_port=new_port)
        found = [part for part in place.parts(chosen.stack.key) if not parts or part.name in parts]
    for sentence in notes:
        note(sentence)
    for part in found:
        say(_told(part))
    if not all(part.answering or part.starting for part in found):
        raise typer.Exit(1)


def _stop(chosen: Context, parts: list[str]) -> None:
    place = target(chosen.stack.settings.place)
    running = [
        part.name for part in place.parts(chosen.stack.key) if part.running and (not parts or part.name in parts)
    ]
    with working(f"stopping {', '.join(parts) or 'all parts'}"):
        place.stop(chosen.stack.key, parts)
    for name in running:
        say(f"{name} stopped")
    if not running:
        say("nothing was running")


def _told(part: Part) -> str:
    if part.answering:
        return f"{part.name} answers on port {part.port}" if part.port else f"{part.name} answers inside the stack"
    return f"{part.name} is starting" if part.starting else f"{part.name} does not answer: {part.detail}"
