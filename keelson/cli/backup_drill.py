"""Drills: restore backups into a throw-away server, and say what is not as it was backed up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from keelson.backups.drills.checks import read_checks
from keelson.backups.drills.drilling import Plan
from keelson.backups.drills.drilling import drill as drill_backup
from keelson.backups.drills.evidence import Drill
from keelson.backups.store import Store
from keelson.cli import drill_server
from keelson.cli.backup import BackupOption, IdentityOption, ServerOption, identity_words, size, store_of
from keelson.cli.context import Context, context
from keelson.cli.gathering import gathered_checks
from keelson.cli.options import JsonOption, StackOption
from keelson.cli.output import complain, note, print_json, say
from keelson.cli.place import run_where_files_lie
from keelson.cli.progress import transfer
from keelson.errors import BackupError, KeelsonError
from keelson.wording import counted

ServicesArgument = Annotated[list[str] | None, typer.Argument(help="Services, for example auth.")]


def drill(  # noqa: PLR0913 - the options of a command
    services: ServicesArgument = None,
    stack: StackOption = None,
    backup: BackupOption = None,
    checks: Annotated[
        Path | None,
        typer.Option("--checks", help="A directory with <service>/*.sql to run in place of sql/<service>/checks/."),
    ] = None,
    *,
    identity: IdentityOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every database of the stack.")] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
    at: Annotated[
        str | None, typer.Option("--at", help="With --server: a moment in place of the end of its archive.")
    ] = None,
) -> None:
    """Restore the newest good backup into a throw-away server, and compare all of it; the stack's servers are not touched.

    Rows by number and content, schema, grants, roles, sequences, constraints, indexes and extensions are held against the
    backup, then the project's checks are run. The times and findings are kept beside the backups.

    Example: keelson backup drill portfolio

    With --server, a server is made of the archive, brought forward, looked at and thrown away.

    Example: keelson backup drill --all --json

    Example: keelson backup drill --server main
    """
    if server or at:
        drill_server.drill(
            server, stack, at, checks, others=bool(services or backup or identity or everything), as_json=as_json
        )
        return
    if bool(services) == everything:
        msg = "name services, or give --all"
        raise typer.BadParameter(msg)
    if backup and len(services or ()) != 1:
        msg = "--backup goes with one service"
        raise typer.BadParameter(msg)
    if checks and not checks.is_dir():
        msg = f"--checks names {checks}, which is no directory; name the one that holds <service>/*.sql"
        raise typer.BadParameter(msg)
    chosen = context(stack)
    names = services or list(chosen.stack.databases)
    _refuse_others(chosen, names)
    with gathered_checks(chosen, names, checks) as gathered:
        options = [*(["--backup", backup] if backup else ()), *(["--json"] if as_json else ()), "--checks", gathered]
        run_where_files_lie(chosen, "backup", "drill", *options, *identity_words(identity), *names)
        done = []
        for each in _drilled(chosen, store_of(chosen, identity), names, backup, gathered):
            done.append(each)
            if not as_json:
                _tell(each)
    if as_json:
        print_json([each.values() for each in done])
    raise typer.Exit(0 if len(done) == len(names) and all(each.well for each in done) else 1)


def _refuse_others(chosen: Context, names: Iterable[str]) -> None:
    for name in names:
        if name in chosen.stack.settings.redis:
            msg = f"{name} is a Redis, and drills are for databases; `keelson restore {name} --into` another Redis tries its backup"
            raise BackupError(msg)
        chosen.server_of(name)


def _drilled(chosen: Context, store: Store, names: Iterable[str], backup: str | None, checks: Path) -> Iterator[Drill]:
    place = chosen.stack.settings.place
    with transfer("drill") as begin:
        for name in names:
            try:
                found = store.find(name, backup)
                watch = begin(f"{name} {found.id}", found.manifest.bytes)
                plan = Plan(store, place, read_checks(checks / name), watch, beside=chosen.reference(name, "admin"))
                done = drill_backup(found, plan)
            except KeelsonError as fault:
                complain(f"{name}: {fault}")
                continue
            yield done


def _tell(done: Drill) -> None:
    for sentence in done.differences:
        complain(f"{done.database}: {sentence}")
    for sentence in done.notes:
        note(f"{done.database}: {sentence}")
    if done.well:
        rows = f"{counted(done.compared['tables'], 'table')} with {counted(done.compared['rows'], 'row')}"
        checked = f", {counted(len(done.checks), 'check')} passed" if done.checks else ""
        restored = f"{size(done.bytes)} restored in {done.recovery_seconds:.1f} s"
        say(f"{done.database}: {done.backup} is proven: {restored}, {rows} as backed up{checked}")
