"""Take migrations back, and bring the ledger to what the files say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from keelson.cli.migrate_target import DirectoryOption, FormatOption, Opened, ReasonOption, UrlOption, opened
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import note, print_json, say
from keelson.errors import SettingsError
from keelson.migrations.repair import plan_repairs, repair, restart
from keelson.migrations.undo import Undo, plan_undo, undo


def down(  # noqa: PLR0913 - options of a command
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    *,
    to: Annotated[
        str | None, typer.Option(help="The file or version that stays as the newest; 0 takes all back.")
    ] = None,
    reason: ReasonOption = "",
    confirm: Annotated[str, typer.Option(help="The stack's name, typed, where the stack is protected.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be taken back, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take the newest migration back by its undo, or all down to --to. A protected stack is backed up first.

    Example: keelson migrate down auth --to 004_add_sessions.sql
    """
    with opened(service, stack, url, directory, format_) as found:
        plan = plan_undo(found.connection, found.files, to)
        if plan and not dry_run:
            _refuse_unconfirmed(found, plan, confirm)
            _back_up(found)
            undo(found.connection, plan, owner=found.owner, reason=reason, on_progress=note)
            found.tell_stack()
    names = [step.file for step in plan]
    if as_json:
        print_json({"taken_back": [] if dry_run else names, "would_be_taken_back": names if dry_run else []})
    else:
        verb = "would take back" if dry_run else "took back"
        say(f"{verb} {', '.join(names)}" if names else "nothing to take back")


def repair_command(  # noqa: PLR0913 - options of a command
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    *,
    reason: ReasonOption = "",
    again: Annotated[
        str, typer.Option("--restart", metavar="FILE", help="Forget how far this half-done file came.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be mended, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Accept that applied files were edited or renamed: the ledger takes over what they are now. No SQL of theirs runs.

    Example: keelson migrate repair auth --reason "a typo in a comment's table name"
    """
    if not (reason.strip() or dry_run):
        msg = "say why with --reason; it is kept in schema_history beside your name"
        raise SettingsError(msg)
    with opened(service, stack, url, directory, format_) as found:
        if dry_run:
            said = [item.what for item in plan_repairs(found.connection, found.files)]
        elif again:
            done = restart(found.connection, again, owner=found.owner, reason=reason)
            said = [f"{again}: {done} statements are forgotten; the file runs from its start"] if done else []
        else:
            said = [item.what for item in repair(found.connection, found.files, owner=found.owner, reason=reason)]
        if not dry_run:
            found.tell_stack()
    if as_json:
        print_json({"dry_run": dry_run, "repairs": said})
    else:
        say("\n".join(said) if said else "nothing to repair")


def _refuse_unconfirmed(found: Opened, plan: Sequence[Undo], confirm: str) -> None:
    chosen = found.place.chosen
    if chosen and chosen.stack.settings.protected and confirm != chosen.stack_name:
        names = ", ".join(step.file for step in plan)
        msg = (
            f"stack {chosen.stack_name} is protected ({chosen.stack.settings.environment});"
            f" to take back {names}, add --confirm {chosen.stack_name}"
        )
        raise SettingsError(msg)


def _back_up(found: Opened) -> None:
    """Back a protected stack's database up before anything of it is taken back."""
    chosen, service = found.place.chosen, found.place.service
    if not chosen or not chosen.stack.settings.protected:
        return
    from keelson.backups.making import BEFORE_UNDO, Source  # noqa: PLC0415 - only protected stacks need it
    from keelson.target import target  # noqa: PLC0415

    source = Source("postgres", chosen.reference(service, "admin"))
    directory = chosen.stack.settings.backup.directory
    made = target(chosen.stack.settings.place).back_up(source, BEFORE_UNDO, directory)
    note(f"{service}: backed up to {made}")
