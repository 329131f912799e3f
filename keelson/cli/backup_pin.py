"""Pins: backups that are kept however old they are."""

from __future__ import annotations

from typing import Annotated

import typer

from keelson.cli.backup import store_of
from keelson.cli.context import context
from keelson.cli.options import ServiceArgument, StackOption
from keelson.cli.output import say
from keelson.cli.place import run_where_files_lie

IdArgument = Annotated[str, typer.Argument(help="The backup's ID, as `keelson backup list` shows it.")]


def pin(
    service: ServiceArgument,
    backup: IdArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever asks later.")] = "pinned",
    stack: StackOption = None,
) -> None:
    """Keep a backup however old it is, until it is unpinned.

    Example: keelson backup pin portfolio 20261121T020000Z --reason "before the merger"
    """
    chosen = context(stack)
    run_where_files_lie(chosen, "backup", "pin", "--reason", reason, service, backup)
    store_of(chosen).find(service, backup).pin(reason)
    say(f"{service}: {backup} stays until `keelson backup unpin {service} {backup}`")


def unpin(service: ServiceArgument, backup: IdArgument, stack: StackOption = None) -> None:
    """Let a backup go by its age again.

    Example: keelson backup unpin portfolio 20261121T020000Z
    """
    chosen = context(stack)
    run_where_files_lie(chosen, "backup", "unpin", service, backup)
    store_of(chosen).find(service, backup).unpin()
    say(f"{service}: {backup} goes by its age again")
