"""Backups of whole servers: make one now, list, verify."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from types import ModuleType

import typer

from keelson.backups.physical import making
from keelson.backups.physical.making import Kept
from keelson.cli.context import Context, context
from keelson.cli.output import human_bytes, print_json, print_table, say
from keelson.cli.place import run_where_files_lie
from keelson.cli.progress import working
from keelson.errors import SettingsError
from keelson.settings import point_in_time
from keelson.wording import counted

_SHOWN = "%Y-%m-%d %H:%M:%S"


def run(server: str | None, stack: str | None, *, full: bool, others: bool) -> None:
    """Back up a whole server now."""
    if server is None:
        msg = "--full goes with --server"
        raise typer.BadParameter(msg)
    if others:
        msg = "--server is for a whole server; leave out services and --all"
        raise typer.BadParameter(msg)
    chosen = context(stack)
    key = key_of(chosen, server)
    if ours := of_cluster(chosen):
        ours.run(chosen, server, full=full)
        return
    run_where_files_lie(chosen, "backup", "run", "--server", server, *(["--full"] if full else ()))
    with working(f"backup {server}"):
        every = chosen.stack.settings.point_in_time.full_every
        made = making.back_up(key, server, full=full or None, full_every=every)
    seconds = (made.ended - made.begun).total_seconds()
    kind = "full" if made.full else "what changed"
    say(f"{server}: {made.label}, {kind}, {human_bytes(made.stored)} for {human_bytes(made.bytes)}, {seconds:.0f} s")


def list_(server: str, stack: str | None, *, as_json: bool) -> None:
    """List what a server's archive holds, the newest first."""
    chosen = context(stack)
    key = key_of(chosen, server)
    if ours := of_cluster(chosen):
        ours.list_(chosen, server, as_json=as_json)
        return
    run_where_files_lie(chosen, "backup", "list", "--server", server, *(["--json"] if as_json else ()))
    found = making.every(key, server)
    if as_json:
        print_json([_entry(server, kept) for kept in found])
        return
    print_table(("CLUSTER", "BACKUP", "KIND", "BEGUN (UTC)", "COMPLETE", "SERVER", "STORED", ""), _rows(found))
    if not any(kept.inventory.backups for kept in found):
        say(f"no backup yet; `keelson backup run --server {server}` makes one")


def verify(server: str, stack: str | None) -> None:
    """Read a server's archive back."""
    chosen = context(stack)
    key = key_of(chosen, server)
    if ours := of_cluster(chosen):
        ours.refuse_verify(server)
    run_where_files_lie(chosen, "backup", "verify", "--server", server)
    with working(f"verify {server}"):
        making.verify(key, server)
    backups = next((each.inventory.backups for each in making.every(key, server) if each.present), ())
    say(f"{server}: its archive reads back, {counted(len(backups), 'backup')} and the log since the first")


def prune(server: str, stack: str | None, backup: str | None, *, dry_run: bool) -> None:
    """Let go what a server's archive does not keep any longer, or one backup."""
    chosen = context(stack)
    key = key_of(chosen, server)
    words = [*(["--backup", backup] if backup else ()), *(["--dry-run"] if dry_run else ())]
    run_where_files_lie(chosen, "backup", "prune", "--server", server, *words)
    gone = making.prune(key, server, backup or "", dry_run=dry_run)
    for line in gone:
        say(f"{server}: {'would ' if dry_run else ''}{line}")
    if not gone:
        say(f"{server}: nothing is older than what is kept")


def key_of(chosen: Context, server: str) -> str:
    """Return the stack's key; raises SettingsError where the stack has no such server, or that keeps no archive."""
    settings = chosen.stack.settings
    if server not in settings.servers:
        msg = f"stack {chosen.stack_name} has no server {server!r}; it has {', '.join(settings.servers)}"
        raise SettingsError(msg)
    if not point_in_time.is_archived(settings, server):
        msg = (
            f"server {server} keeps no archive; set `point_in_time: true` below keelson:servers.{server} in the stack file and run "
            "`keelson up`, from then on"
        )
        raise SettingsError(msg)
    return chosen.stack.key


def of_cluster(chosen: Context) -> ModuleType | None:
    """Return the module that does what is asked where servers are an operator's; None elsewhere."""
    if chosen.stack.settings.target != "kubernetes":
        return None
    from keelson.cli import archives_of_clusters  # noqa: PLC0415 - an API's client is needed there alone

    return archives_of_clusters


def _rows(found: list[Kept]) -> Iterator[tuple[object, ...]]:
    for kept in reversed(found):
        cluster = kept.cluster if kept.present else f"{kept.cluster} (before)"
        for each in reversed(kept.inventory.backups):
            sizes = human_bytes(each.bytes), human_bytes(each.stored)
            kind = "full" if each.full else "incremental"
            fault = f"DAMAGED: {each.fault}" if each.fault else ""
            yield cluster, each.label, kind, f"{each.begun:{_SHOWN}}", f"{each.ended:{_SHOWN}}", *sizes, fault


def _entry(server: str, kept: Kept) -> dict[str, object]:
    return {
        "server": server,
        "cluster": kept.cluster,
        "present": kept.present,
        "last_archived": kept.inventory.last_archived,
        "backups": [
            asdict(each) | {"begun": each.begun.isoformat(), "ended": each.ended.isoformat()}
            for each in kept.inventory.backups
        ],
    }
