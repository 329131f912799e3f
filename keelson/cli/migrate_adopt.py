"""Begin with a database that has migrations already: take another tool's ledger over, or say where to begin."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from keelson.cli.migrate_target import DirectoryOption, FormatOption, Opened, ReasonOption, UrlOption, opened
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import note, print_json, say
from keelson.errors import SettingsError
from keelson.migrations.adoption.adopting import Adoption, Target, adopt, baseline


def import_(  # noqa: PLR0913 - options of a command
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    *,
    tool: Annotated[
        str, typer.Option("--from", help="Whose ledger, such as flyway or goose; by default the one that is there.")
    ] = "",
    table: Annotated[str, typer.Option("--table", help="Its table, where that has not the tool's usual name.")] = "",
    accept: Annotated[
        bool, typer.Option("--accept", help="Take files as they are now, though they changed since they were applied.")
    ] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take over which migrations another tool has applied. Its table stays as it is; no SQL of the files runs.

    Example: keelson migrate import auth --from flyway
    """
    with opened(service, stack, url, directory, format_) as found:
        done = adopt(_target(found), tool, table, reason=reason, accept=accept, on_wait=note)
        found.tell_stack()
    _show(done, f"imported from {done.source}", as_json=as_json)


def baseline_command(  # noqa: PLR0913 - options of a command
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    *,
    to: Annotated[
        str, typer.Option(help="The last file that counts as applied, by its name or version; 0: none does.")
    ] = "",
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say that a database has all migrations up to one, where no ledger says so. No SQL of the files runs.

    Example: keelson migrate baseline auth --to 005_sessions.sql --reason "made by hand before 2026"
    """
    if not to or not reason.strip():
        msg = "say with --to which file is the last that counts as applied, and why with --reason"
        raise SettingsError(msg)
    with opened(service, stack, url, directory, format_) as found:
        done = baseline(_target(found), to, reason, on_wait=note)
        found.tell_stack()
    _show(done, "counted as applied", as_json=as_json)


def _target(found: Opened) -> Target:
    return Target(found.connection, found.files, found.place.location, found.place.root, found.owner)


def _show(done: Adoption, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    told = {
        "have no file here": done.without_file,
        "come before them and are not applied": done.between,
        "changed since they were applied, and are taken as they are now": done.changed,
        "changed since they were applied, and run again": done.again,
    }
    say(f"{what}: {', '.join(done.files) or 'nothing'}")
    for words, names in told.items():
        if names:
            say(f"{words}: {', '.join(names)}")
