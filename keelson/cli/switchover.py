"""Let another instance of a server take its writes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from keelson.cli.completion import complete_server
from keelson.cli.context import Context, context
from keelson.cli.lifecycle import Yes
from keelson.cli.options import StackOption
from keelson.cli.output import say
from keelson.cli.progress import working
from keelson.endpoint import Reference
from keelson.errors import SettingsError


def switchover(
    server: Annotated[str, typer.Argument(help="A PostgreSQL server, such as main.", autocompletion=complete_server)],
    stack: StackOption = None,
    to: Annotated[
        str, typer.Option("--to", help="The instance that shall take over; by default the one with most of the log.")
    ] = "",
    *,
    yes: Yes = False,
) -> None:
    """Let another instance of a server take its writes, for example before the node of the first one is serviced.

    Example: keelson switchover main --to main-2
    """
    from keelson.kubernetes import switchover as work  # noqa: PLC0415 - a platform loads only what it needs

    switch = work.plan(_reference(context(stack), server), to)
    if not yes and sys.stdin.isatty():
        asked = (
            f"Shall {switch.new} take the writes of {server} in place of {switch.old}? They are away for some seconds"
        )
        typer.confirm(asked, abort=True)
    with working(f"{switch.new} takes over from {switch.old}"):
        seconds = work.switch_over(switch)
    say(
        f"{switch.new} takes the writes of {server} in place of {switch.old}; none was acknowledged for {seconds:.1f} s"
    )


def _reference(chosen: Context, server: str) -> Reference:
    """Return the reference to a server of several instances; raises SettingsError where it is none."""
    settings = chosen.stack.settings
    if server not in settings.servers:
        msg = f"stack {chosen.stack_name} has no server {server!r}; it has {', '.join(settings.servers)}"
        raise SettingsError(msg)
    if settings.instances_of(server) == 1:
        msg = (
            f"server {server} of stack {chosen.stack_name} has one instance, and no other one that could take over; "
            f"set 'keelson:servers.{server}.ha' (target kubernetes) and run `keelson up`"
        )
        raise SettingsError(msg)
    return chosen.administrator(server)
