"""Prove migrations, undos, seeds and checks before anything is done to a database that somebody needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from textwrap import indent
from typing import Annotated

import typer

from keelson.cli.context import context
from keelson.cli.migrate_target import DirectoryOption, FormatOption, Place, UrlOption, place, place_in
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import print_json, say
from keelson.cli.subject import ScratchOption, data_of, subject_of
from keelson.errors import KeelsonError, SettingsError
from keelson.migrations import scratch
from keelson.migrations.scratch import Scratch
from keelson.migrations.verify import Step, verify
from keelson.postgres.snapshot import as_text


@dataclass(frozen=True)
class Options:
    """What is asked for beside the usual."""

    offline: bool
    every_undo: bool
    as_json: bool


def verify_command(  # noqa: PLR0913, PLR0917 - the options of the command
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    scratch_url: ScratchOption = None,
    *,
    whole: Annotated[bool, typer.Option("--all", help="Every service of the stack.")] = False,
    every_undo: Annotated[
        bool, typer.Option("--all-undo", help="Try the undo of each file, not of the pending ones.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Look at no live database: all files count as pending.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Try migrations, their undo, seeds and checks in scratch databases; exit status 1 when one does not do what it should.

    Needs no server that runs: where the live database does not answer, all files count as pending.

    Example: keelson migrate verify auth

    Example: keelson migrate verify --all --offline --all-undo
    """
    options = Options(offline, every_undo, as_json)
    if whole and (service or url or directory):
        msg = "give --all alone, or name a service, or give --dir with or without --url"
        raise SettingsError(msg)
    if whole:
        chosen = context(stack)
        places = [place_in(chosen, name) for name in chosen.stack.databases]
    else:
        places = [place(service, stack, url, directory, format_)]
    with scratch.on(scratch_url) as server:
        found = {where.name: list(_told(where, server, options)) for where in places}
    if as_json:
        print_json({name: [_as_json(step) for step in steps] for name, steps in found.items()})
    raise typer.Exit(1 if any(step.outcome == "failed" for steps in found.values() for step in steps) else 0)


def _told(where: Place, server: Scratch, options: Options) -> Iterator[Step]:
    """Yield the steps of one database, each shown as soon as it is done."""
    if not options.as_json:
        say(where.name)
    for step in _steps(where, server, options):
        if not options.as_json:
            say(f"  {step.outcome:<8}{step.name:<9}{step.said} ({step.seconds:.1f} s)")
            if step.differences:
                say(indent(as_text(step.differences), " " * 10).rstrip())
        yield step


def _steps(where: Place, server: Scratch, options: Options) -> Iterator[Step]:
    try:
        with ExitStack() as stack:
            live = None if options.offline else stack.enter_context(where.connected_if_there())
            yield from verify(subject_of(where, live), server, data_of(where), live, every_undo=options.every_undo)
    except KeelsonError as fault:  # the other databases are looked at all the same
        yield Step("files", "failed", str(fault))


def _as_json(step: Step) -> dict[str, object]:
    return {
        "step": step.name,
        "outcome": step.outcome,
        "said": step.said,
        "seconds": round(step.seconds, 3),
        "differences": [each.as_json() for each in step.differences],
    }
