"""Backups: make one now, list, verify, prune."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from keelson.backups.folder import Watch
from keelson.backups.keys import read_identities
from keelson.backups.making import MANUAL, Source, back_up
from keelson.backups.making import verify as read_back
from keelson.backups.retention import Retention, removable
from keelson.backups.retention import prune as remove_old
from keelson.backups.store import Backup, Store
from keelson.cli import backup_server as of_servers
from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, StackOption
from keelson.cli.output import complain, note, print_json, print_table, say
from keelson.cli.place import run_where_files_lie
from keelson.cli.progress import transfer
from keelson.endpoint import Reference
from keelson.errors import KeelsonError, SettingsError

ServicesArgument = Annotated[list[str] | None, typer.Argument(help="Services or Redis servers, for example auth.")]
IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", help="A file of age with the key of a recipient, where the stack's own is lost."),
]
ServerOption = Annotated[
    str | None, typer.Option("--server", help="A whole server that keeps an archive, in place of databases.")
]
BackupOption = Annotated[str | None, typer.Option("--backup", help="The backup's ID; by default the newest good one.")]


def run(
    services: ServicesArgument = None,
    stack: StackOption = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every database and Redis of the stack.")] = False,
    server: ServerOption = None,
    full: Annotated[bool, typer.Option("--full", help="With --server: stand on no earlier backup.")] = False,
) -> None:
    """Make a backup now, and read all of it back; earlier ones stay.

    Example: keelson backup run portfolio

    Example: keelson backup run --server main
    """
    if server or full:
        of_servers.run(server, stack, full=full, others=bool(services) or everything)
        return
    if bool(services) == everything:
        msg = "name services, or give --all"
        raise typer.BadParameter(msg)
    chosen = context(stack)
    run_where_files_lie(chosen, "backup", "run", *(services or ["--all"]))
    failed = False
    with transfer("backup") as begin:
        for source in [source_of(chosen, name) for name in services or names(chosen)]:
            try:
                store = store_of(chosen)
                last = store.last(source.name)
                watch = begin(source.name, 2 * last.manifest.bytes if last else None)  # written, and read back
                made = back_up(source, store, MANUAL, watch)
                say(f"{source.name}: {made.id}, {size(made.manifest.bytes)}, {_seconds(made)} s, read back")
            except KeelsonError as fault:
                failed = True
                complain(f"{source.name}: {fault}")
    raise typer.Exit(1 if failed else 0)


def list_(
    services: ServicesArgument = None,
    stack: StackOption = None,
    server: ServerOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the backups, the newest first; those too of services that the settings no longer name.

    Example: keelson backup list portfolio --json

    Example: keelson backup list --server main
    """
    if server:
        of_servers.list_(server, stack, as_json=as_json)
        return
    chosen = context(stack)
    run_where_files_lie(chosen, "backup", "list", *(services or ()), *(["--json"] if as_json else ()))
    store = store_of(chosen)
    found = [(name, backup) for name in services or store.names() for backup in store.all(name)]
    if as_json:
        print_json([_entry(name, backup) for name, backup in found])
        return
    print_table(("DATABASE", "ID", "BEGUN (UTC)", "REASON", "SIZE", "VERSION", ""), _rows(found))
    if not found:
        say(f"no backup yet under {store.where}; `keelson backup run --all` makes one of each database")


def verify(  # noqa: PLR0913 - the options of a command
    services: ServicesArgument = None,
    stack: StackOption = None,
    backup: BackupOption = None,
    *,
    identity: IdentityOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All backups, not the newest alone.")] = False,
    server: ServerOption = None,
) -> None:
    """Read backups back from the first byte to the last; one that is damaged no longer counts.

    Example: keelson backup verify --all

    Example: keelson backup verify --server main
    """
    if server:
        of_servers.verify(server, stack)
        return
    chosen = context(stack)
    options = [*(["--backup", backup] if backup else ()), *(["--all"] if everything else ())]
    run_where_files_lie(chosen, "backup", "verify", *options, *identity_words(identity), *(services or ()))
    store = store_of(chosen, identity)
    failed = False
    with transfer("verify") as begin:
        for name in services or store.names():
            try:
                for each in store.all(name) if everything and not backup else [store.find(name, backup)]:
                    failed = not _verified(chosen, name, each, begin(f"{name} {each.id}", _bytes(each))) or failed
            except KeelsonError as fault:
                failed = True
                complain(f"{name}: {fault}")
    raise typer.Exit(1 if failed else 0)


def prune(
    services: ServicesArgument = None,
    stack: StackOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    server: ServerOption = None,
    backup: Annotated[
        str | None, typer.Option("--backup", help="With --server: this one, and those that stand on it.")
    ] = None,
) -> None:
    """Remove the backups that are older than the settings keep, never below the number that they keep at least.

    Example: keelson backup prune --dry-run

    Example: keelson backup prune --server main --dry-run
    """
    if server or backup:
        if server is None or services:
            msg = "--backup goes with --server, and that with no service"
            raise typer.BadParameter(msg)
        of_servers.prune(server, stack, backup, dry_run=dry_run)
        return
    chosen = context(stack)
    run_where_files_lie(chosen, "backup", "prune", *(["--dry-run"] if dry_run else ()), *(services or ()))
    store = store_of(chosen)
    failed = False
    for name in services or store.names():
        try:
            kept = _retention(chosen, name)
            gone = removable(store.all(name), kept) if dry_run else remove_old(store, name, kept)
            for each in gone:
                say(f"{name}: {each.id} {'would be removed' if dry_run else 'removed'}")
        except KeelsonError as fault:
            failed = True
            complain(f"{name}: {fault}")
    raise typer.Exit(1 if failed else 0)


def store_of(chosen: Context, identity: Path | None = None) -> Store:
    """Return where the backups of a stack lie; `identity` names a file with a key of one of their recipients."""
    settings = chosen.stack.settings.backup
    more = read_identities(identity) if identity else ()
    return Store(chosen.stack.key, settings.directory, settings.terms, more)


def identity_words(identity: Path | None) -> list[str | Path]:
    """Return the option as a command inside the stack takes it: the file travels with it."""
    if identity is None:
        return []
    read_identities(identity)
    return ["--identity", identity]


def names(chosen: Context) -> list[str]:
    """Return all that a stack backs up: its databases, then its Redis servers."""
    return [*chosen.stack.databases, *chosen.stack.settings.redis]


def source_of(chosen: Context, name: str) -> Source:
    """Return what is backed up under `name`; raises SettingsError when the stack has nothing of that name."""
    stack = chosen.stack
    if name in stack.databases:
        return Source("postgres", chosen.administrator(stack.databases[name].server, name))
    if name in stack.settings.redis:
        return Source("redis", redis_reference(chosen, name))
    msg = f"stack {chosen.stack_name} has nothing {name!r} to back up; it has {', '.join(names(chosen)) or 'none yet'}"
    raise SettingsError(msg)


def redis_reference(chosen: Context, name: str) -> Reference:
    """Return the reference to a Redis as its administrator."""
    stack = chosen.stack
    return Reference(stack=stack.key, target=stack.settings.place, server=name, database="0", role="admin")


def size(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"  # noqa: PLR2004 - 0.1 MB


def _retention(chosen: Context, name: str) -> Retention:
    """Return how long backups of `name` are kept; those of a service that is gone by the stack's defaults."""
    settings = chosen.stack.backup_of(name) if name in names(chosen) else chosen.stack.settings.backup
    return Retention(settings.keep_days, settings.keep_at_least, settings.keep_at_most)


def _verified(chosen: Context, name: str, backup: Backup, watch: Watch) -> bool:
    try:
        read_back(backup, chosen.stack.settings.place, watch)
    except KeelsonError as fault:
        complain(f"{name}: {fault}")
        return False
    say(f"{name}: {backup.id} reads back, {sum(backup.manifest.counts.values())} rows")
    if backup.remark:
        note(f"{name}: {backup.id} is {backup.remark}")
    return True


def _rows(found: Iterable[tuple[str, Backup]]) -> Iterator[tuple[object, ...]]:
    for name, backup in found:
        if fault := backup.fault:
            yield name, backup.id, f"{backup.begun:%Y-%m-%d %H:%M:%S}", "", "", "", f"DAMAGED: {fault}"
            continue
        made = backup.manifest
        version = made.facts.get("schema_version") or ""
        remarks = [*(["pinned"] if backup.pinned else ()), *(["encrypted"] if made.recipients else ())]
        remarks += filter(None, [backup.remark])
        yield (
            name,
            backup.id,
            f"{made.begun:%Y-%m-%d %H:%M:%S}",
            made.reason,
            size(made.bytes),
            version,
            "; ".join(remarks),
        )


def _entry(name: str, backup: Backup) -> dict[str, object]:
    entry: dict[str, object] = {"database": name, "id": backup.id, "path": backup.path, "fault": backup.fault}
    if entry["fault"]:
        return entry
    made = backup.manifest
    return entry | {
        "begun": made.begun.isoformat(),
        "ended": made.ended.isoformat(),
        "reason": made.reason,
        "engine": made.engine,
        "bytes": made.bytes,
        "rows": sum(made.counts.values()),
        "schema_version": made.facts.get("schema_version"),
        "verified": backup.verified,
        "recipients": list(made.recipients),
        "remark": backup.remark,
        "pinned": backup.pinned,
    }


def _bytes(backup: Backup) -> int | None:
    return None if backup.fault else backup.manifest.bytes


def _seconds(backup: Backup) -> str:
    return f"{(backup.manifest.ended - backup.manifest.begun).total_seconds():.1f}"
