"""The drill of a whole server's archive, by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from keelson.backups.drills.checks import read_checks
from keelson.backups.drills.evidence import Drill
from keelson.backups.physical import choosing
from keelson.backups.physical.drilling import Plan
from keelson.backups.physical.drilling import drill as drill_archive
from keelson.cli.backup import store_of
from keelson.cli.backup_server import key_of, of_cluster
from keelson.cli.context import context
from keelson.cli.gathering import gathered_checks
from keelson.cli.output import complain, human_bytes, print_json, say
from keelson.cli.place import run_where_files_lie
from keelson.cli.progress import working
from keelson.endpoint import Reference
from keelson.wording import counted


def drill(  # noqa: PLR0913 - the options of a command
    server: str | None, stack: str | None, at: str | None, checks: Path | None, *, others: bool, as_json: bool
) -> None:
    """Make a server of its archive, say what was found, and throw it away."""
    if server is None or others:
        msg = "--at goes with --server, and that with no service and no backup of one"
        raise typer.BadParameter(msg)
    chosen = context(stack)
    key = key_of(chosen, server)
    if ours := of_cluster(chosen):
        ours.refuse_verify(server)
    moment = choosing.read_moment(at, datetime.now(UTC)) if at else None
    names = [name for name, each in chosen.stack.databases.items() if each.server == server]
    with gathered_checks(chosen, names, checks) as gathered:
        words = ["--server", server, *(["--at", at] if at else ()), *(["--json"] if as_json else ())]
        run_where_files_lie(chosen, "backup", "drill", *words, "--checks", gathered)
        reference = Reference(stack=key, target=chosen.stack.settings.place, server=server)
        databases = {name: read_checks(gathered / name) for name in names}
        with working(f"drill {server}"):
            done = drill_archive(reference, Plan(store_of(chosen), databases, moment))
    if as_json:
        print_json(done.values())
    else:
        _tell(server, done)
    raise typer.Exit(0 if done.well else 1)


def _tell(server: str, done: Drill) -> None:
    for sentence in done.differences:
        complain(f"{server}: {sentence}")
    if not done.well:
        return
    seen = f"{counted(done.compared['databases'], 'database')}, {counted(done.compared['tables'], 'table')}"
    checked = f", {counted(len(done.checks), 'check')} passed" if done.checks else ""
    last = f"; its last transaction is of {done.reached}" if done.reached else ""
    lost = (
        f"; a loss of the server would have cost at most {done.exposed_seconds:.0f} s" if done.exposed_seconds else ""
    )
    took = f"{human_bytes(done.bytes)} in {done.recovery_seconds:.1f} s"
    say(f"{server}: {done.backup} and the log since are proven: {took}, {seen}{checked}{last}{lost}")
