"""Whether a database still is what its migrations make."""

from __future__ import annotations

import typer

from keelson.cli.migrate_target import DirectoryOption, FormatOption, UrlOption, place
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import note, print_json, say
from keelson.cli.subject import ScratchOption, subject_of
from keelson.migrations import scratch
from keelson.migrations.drift import Drift, find_drift
from keelson.postgres.snapshot import as_text
from keelson.wording import counted

HEAD = "- what the applied migrations make\n+ what the database is\n"


def drift(  # noqa: PLR0913, PLR0917 - the options of the command
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    scratch_url: ScratchOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Compare a database's schema with what its applied migrations make in a scratch database; exit status 1 when they differ.

    Example: keelson migrate drift auth
    """
    where = place(service, stack, url, directory, format_)
    with where.connected() as live:
        subject = subject_of(where, live)
        with scratch.on(scratch_url) as server:
            found = find_drift(live, subject, server)
    if as_json:
        print_json({"differences": [each.as_json() for each in found.differences], "notes": found.notes})
    else:
        _show(subject.name, found)
    raise typer.Exit(1 if found.differences else 0)


def _show(name: str, found: Drift) -> None:
    for sentence in found.notes:
        note(sentence)
    if not found.differences:
        say(f"{name} is as its migrations make it")
        return
    say(HEAD)
    say(as_text(found.differences))
    what = counted(len(found.differences), "difference")
    say(f"{name}: {what}; put the database back by hand, or write a migration for what is to stay")
