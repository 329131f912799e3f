"""Restore a backup into a copy, list the copies, drop one."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from keelson.backups.copies import copies, discard_copy
from keelson.backups.engines import Destination
from keelson.backups.making import restore as restore_backup
from keelson.backups.store import Backup
from keelson.cli.backup import (
    BackupOption,
    IdentityOption,
    identity_words,
    names,
    redis_reference,
    size,
    source_of,
    store_of,
)
from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, ServiceArgument, StackOption
from keelson.cli.output import note, print_json, print_table, say
from keelson.cli.place import run_where_files_lie
from keelson.cli.progress import transfer
from keelson.endpoint import MAINTENANCE_DATABASE, Reference, resolve
from keelson.errors import BackupError, SettingsError

_COUNTED = {"postgres": ("tables", "rows"), "redis": ("databases", "keys")}


def restore(  # noqa: PLR0913 - the options of a command
    service: ServiceArgument,
    path: Annotated[
        Path | None, typer.Argument(help="A backup's directory, for example one of another machine.")
    ] = None,
    stack: StackOption = None,
    into: Annotated[str | None, typer.Option("--into", help="The new database; for a Redis, another Redis.")] = None,
    backup: BackupOption = None,
    *,
    identity: IdentityOption = None,
    with_roles: Annotated[
        bool, typer.Option("--with-roles", help="Make roles that the server lacks, without passwords.")
    ] = False,
    discard: Annotated[str | None, typer.Option("--discard", help="Drop this copy.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the service's copies.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into a new database beside the service's own, and compare the rows; nothing else is touched.

    Example: keelson restore portfolio --into portfolio_yesterday
    """
    if sum(map(bool, (into, discard, listing))) != 1:
        msg = "give one of --into NAME, --discard NAME and --list"
        raise typer.BadParameter(msg)
    chosen = context(stack)
    source_of(chosen, service)  # an unknown one is told first
    named = {"--into": into, "--backup": backup, "--discard": discard}
    options = [word for name, value in named.items() if value for word in (name, value)]
    given = {"--list": listing, "--json": as_json, "--with-roles": with_roles}
    flags = [name for name, asked in given.items() if asked]
    if path and not path.is_dir():
        msg = f"{path} is no directory; name a backup's own"
        raise BackupError(msg)
    run_where_files_lie(
        chosen, "restore", *options, *flags, *identity_words(identity), service, *([path] if path else ())
    )
    if into:
        destination = replace(_destination(chosen, service, into), with_roles=with_roles)
        store = store_of(chosen, identity)
        found = Backup(path.resolve(), store.keys.foreign()) if path else store.find(service, backup)
        _restore(chosen, destination, into, found)
    elif discard:
        discard_copy(_database(chosen, service), service, discard)
        say(f"{discard} is dropped")
    else:
        _list(_database(chosen, service), service, as_json=as_json)


def _restore(chosen: Context, destination: Destination, into: str, found: Backup) -> None:
    service = destination.service
    with transfer("restore") as begin:
        restore_backup(found, destination, begin(into, found.manifest.bytes))
    if found.remark:
        note(f"the backup {found.id} is {found.remark}")
    counts, (units, things) = found.manifest.counts, _COUNTED[found.manifest.engine]
    say(
        f"{into} holds the backup {found.id} of {service}: {len(counts)} {units}, {sum(counts.values())} {things}, as backed up"
    )
    if service in chosen.stack.databases:
        say(f"look at it:  keelson psql {service} --database {into}")
        say(f"drop it:     keelson restore {service} --discard {into}")


def _destination(chosen: Context, service: str, into: str) -> Destination:
    if service in chosen.stack.settings.redis:
        if into not in chosen.stack.settings.redis:
            msg = f"{into!r} is no Redis of stack {chosen.stack_name}; a backup of the Redis {service} goes into one of its own"
            raise SettingsError(msg)
        return Destination(service, redis_reference(chosen, into))
    if into in {*names(chosen), MAINTENANCE_DATABASE}:
        msg = f"{into!r} is a part of stack {chosen.stack_name} itself; choose a new name to restore into"
        raise SettingsError(msg)
    return Destination(service, _database(chosen, service).to(database=into))


def _database(chosen: Context, service: str) -> Reference:
    return chosen.administrator(chosen.server_of(service), service)


def _list(reference: Reference, service: str, *, as_json: bool) -> None:
    with resolve(reference.to(database=MAINTENANCE_DATABASE)).connect("keelson restore") as admin:
        found = [copy for copy in copies(admin) if copy.service == service]
    if as_json:
        print_json([asdict(copy) for copy in found])
        return
    print_table(("COPY", "MADE OF", "SIZE"), ((copy.name, copy.origin, size(copy.bytes)) for copy in found))
