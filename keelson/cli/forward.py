"""Keep a way to a part of a stack open, where no port of its own can be reached."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from keelson.cli.context import context
from keelson.cli.options import StackOption
from keelson.cli.output import note, say
from keelson.errors import SettingsError
from keelson.target import Address, target


def forward(
    part: Annotated[str, typer.Argument(help="A server, a Redis, pgadmin or agent.")], stack: StackOption = None
) -> None:
    """Let this machine's programs reach a part of the stack until Ctrl-C; where it has a port of its own, say that.

    Example: keelson forward agent
    """
    chosen = context(stack).stack
    if part not in chosen.settings.parts:
        msg = f"stack {chosen.name} has no part {part!r}; it has {', '.join(chosen.settings.parts)}"
        raise SettingsError(msg)
    address = target(chosen.settings.place).locate(chosen.key, part)
    say(f"{part} answers on {address.host}:{address.port}")
    hold(address)


def hold(address: Address) -> None:
    """Wait for Ctrl-C or TERM where an address ends with this process."""
    if not address.fleeting:
        return
    note("it does so until Ctrl-C")
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
