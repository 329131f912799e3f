"""Restore a backup into a copy, list the copies, drop one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from keelson.backups.copies import copies, discard_copy
from keelson.backups.engines import Destination
from keelson.backups.making import restore as restore_backup
from keelson.backups.store import Backup
from keelson.backups.swapping import copy_name
from keelson.cli import restore_between, restore_server, restore_swap
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
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import note, print_json, print_table, say
from keelson.cli.place import status_where_files_lie
from keelson.cli.progress import transfer
from keelson.endpoint import MAINTENANCE_DATABASE, Reference, resolve
from keelson.errors import BackupError, SettingsError

_COUNTED = {"postgres": ("tables", "rows"), "redis": ("databases", "keys")}


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    service: str
    path: Path | None = None
    into: str | None = None
    backup: str | None = None
    copy: str | None = None
    confirm: str = ""
    table: str | None = None
    into_table: str | None = None
    identity: Path | None = None
    swap: bool = False
    with_roles: bool = False
    from_stack: str | None = None
    anonymise: Path | None = None

    @property
    def words(self) -> list[str | Path]:
        """What a command inside the stack is told of it; files travel with it."""
        named = {"--into": self.into, "--backup": self.backup, "--copy": self.copy, "--confirm": self.confirm}
        named |= {"--table": self.table, "--into-table": self.into_table}
        words: list[str | Path] = [word for name, value in named.items() if value for word in (name, value)]
        return [*words, *identity_words(self.identity), *(("--anonymise", self.anonymise) if self.anonymise else ())]

    def found(self, chosen: Context) -> Backup:
        """Return the backup that is meant, the newest good one where none is named."""
        if self.from_stack and not self.path:
            return restore_between.backup_of(chosen, self.from_stack, self.service, self.backup)
        store = store_of(chosen, self.identity)
        return Backup(self.path.resolve(), store.keys.foreign()) if self.path else store.find(self.service, self.backup)


def restore(  # noqa: PLR0913, PLR0917 - the options of a command
    service: OptionalService = None,
    path: Annotated[
        Path | None, typer.Argument(help="A backup's directory, for example one of another machine.")
    ] = None,
    stack: StackOption = None,
    into: Annotated[str | None, typer.Option("--into", help="The new database; for a Redis, another Redis.")] = None,
    backup: BackupOption = None,
    copy: Annotated[str | None, typer.Option("--copy", help="With --swap: a copy that is there already.")] = None,
    confirm: Annotated[
        str, typer.Option("--confirm", help="The service's or server's name, typed, to replace what is live.")
    ] = "",
    table: Annotated[
        str | None, typer.Option("--table", help="This table alone, under a new name in the live database.")
    ] = None,
    into_table: Annotated[
        str | None, typer.Option("--into-table", help="Its new name; by default in the schema restored.")
    ] = None,
    from_stack: Annotated[
        str | None, typer.Option("--from-stack", help="Whose backup: another stack's, by way of anonymise.sql.")
    ] = None,
    *,
    anonymise: Annotated[
        Path | None, typer.Option("--anonymise", hidden=True, help="The script, inside the stack.")
    ] = None,
    identity: IdentityOption = None,
    swap: Annotated[bool, typer.Option("--swap", help="Take the place of the live database, which is kept.")] = False,
    with_roles: Annotated[
        bool, typer.Option("--with-roles", help="Make roles that the server lacks, without passwords.")
    ] = False,
    discard: Annotated[str | None, typer.Option("--discard", help="Drop this copy.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the service's copies.")] = False,
    as_json: JsonOption = False,
    server: Annotated[
        str | None, typer.Option("--server", help="A whole server that keeps an archive, in place of a service.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="With --server: the moment, such as 2026-11-22T08:15:00Z, or latest.")
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place", help="With --server: put it into the live server's place, and keep its data of now."
        ),
    ] = False,
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster", help="With --server: what it was before its data were made anew, by the ID of --list."
        ),
    ] = "",
) -> None:
    """Restore a backup into a new database beside the service's own, or with --swap in its place, which is then kept beside.

    Without an option it lists the backups, lets one be picked, and shows what would be lost. With --server, a whole server as it was
    at any moment: beside the live one, or in its place.

    Example: keelson restore portfolio

    Example: keelson restore portfolio --into portfolio_yesterday

    Example: keelson restore portfolio --table public.watchlists

    Example: keelson restore portfolio --from-stack prod --into portfolio_prod

    Example: keelson restore portfolio --swap --backup 20261122T020000Z --confirm portfolio

    Example: keelson restore --server main --at 2026-11-22T08:15:00Z
    """
    if server or at or in_place or cluster:
        whole = restore_server.Asked(server, at, into, discard, cluster, confirm, in_place=in_place, listing=listing)
        restore_server.restore(
            whole,
            stack,
            others=bool(service or path or backup or swap or table or copy or with_roles or from_stack),
            as_json=as_json,
        )
        return
    if service is None:
        msg = "name a service, or a server with --server"
        raise typer.BadParameter(msg)
    _refuse_too_much(
        [into, discard, table, swap, listing],
        {"--copy": swap >= bool(copy), "--into-table": bool(table) >= bool(into_table)},
    )
    chosen = context(stack)
    source_of(chosen, service)  # an unknown one is told first
    if path and not path.is_dir():
        msg = f"{path} is no directory; name a backup's own"
        raise BackupError(msg)
    restore_between.refuse_what_does_not_fit(from_stack, anonymise, into)
    asked = Asked(
        service, path, into, backup, copy, confirm, table, into_table, identity, swap, with_roles, from_stack, anonymise
    )
    with ExitStack() as sent:
        if from_stack and service in chosen.stack.databases:
            script = sent.enter_context(restore_between.script_of(chosen, service))
            path = path or Path(asked.found(chosen).path)
            asked = replace(asked, anonymise=script)
        _run(chosen, asked, path, discard, listing=listing, as_json=as_json)


def _run(  # noqa: PLR0913 - what the command line says
    chosen: Context, asked: Asked, carried: Path | None, discard: str | None, *, listing: bool, as_json: bool
) -> None:
    """Run it where the files lie, to where the backup `carried` travels, and let the stack's state follow."""
    flags = {"--list": listing, "--json": as_json, "--swap": asked.swap, "--with-roles": asked.with_roles}
    discarded: list[str | Path] = ["--discard", discard] if discard else []
    words = [*asked.words, *discarded, *(name for name, wanted in flags.items() if wanted), asked.service]
    status = status_where_files_lie(chosen, "restore", *words, *([carried] if carried else ()))
    if status:
        raise typer.Exit(status)
    if status is None and (discard or listing):
        _look_after_copies(chosen, asked.service, discard, as_json=as_json)
        return
    replaced = not (asked.into or discard or listing or asked.table)
    if status is None:
        replaced = _do(chosen, asked)
    if replaced:
        restore_swap.follow(chosen, asked.service)
    elif asked.into:
        again = f"keelson privacy again {asked.service} --database {asked.into}"
        restore_swap.remind(chosen, asked.service, again)


def _refuse_too_much(actions: Sequence[object], fitting: Mapping[str, bool]) -> None:
    """Refuse two actions at once, and an option whose action is missing."""
    if sum(map(bool, actions)) > 1 or not all(fitting.values()):
        msg = "give one of --into NAME, --swap, --table NAME, --discard NAME and --list; --copy goes with --swap, --into-table with --table"
        raise typer.BadParameter(msg)


def _look_after_copies(chosen: Context, service: str, discard: str | None, *, as_json: bool) -> None:
    if discard:
        discard_copy(_database(chosen, service), service, discard)
        say(f"{discard} is dropped")
    else:
        _list(_database(chosen, service), service, as_json=as_json)


def _do(chosen: Context, asked: Asked) -> bool:
    """Restore; say whether the live database was replaced."""
    if asked.into:
        script = restore_between.read_script(asked.anonymise) if asked.anonymise else ""
        to = _destination(chosen, asked.service, asked.into)
        destination = replace(to, with_roles=asked.with_roles, script=script)
        _restore(chosen, destination, asked.into, asked.found(chosen))
        return False
    restore_swap.refuse_redis(chosen, asked.service)
    restore_swap.settle(chosen, asked.service)
    if asked.table:
        restore_swap.restore_one(chosen, asked.service, asked.found(chosen), asked.table, asked.into_table)
        return False
    if asked.copy:
        restore_swap.refuse_unconfirmed(asked.service, asked.confirm)
        restore_swap.swap_copy(chosen, asked.service, asked.copy)
        return True
    named = asked.path or asked.backup
    found = asked.found(chosen) if named else restore_swap.pick(store_of(chosen, asked.identity), asked.service)
    restore_swap.show(chosen, asked.service, found)
    if not asked.swap and not (restore_swap.is_asked() and restore_swap.is_to_replace(asked.service)):
        return _beside(chosen, asked, found)
    restore_swap.refuse_unconfirmed(asked.service, asked.confirm)
    restore_swap.swap(chosen, asked.service, found)
    return True


def _beside(chosen: Context, asked: Asked, found: Backup) -> bool:
    """Restore under a name that a person chooses; where nobody is there, what was shown is all."""
    if not restore_swap.is_asked():
        say(f"nothing is changed; go on with --into NAME, or with --swap --confirm {asked.service}")
        return False
    into = typer.prompt("name of the new database", default=copy_name(asked.service, found))
    _restore(chosen, _destination(chosen, asked.service, into), into, found)
    return False


def _restore(chosen: Context, destination: Destination, into: str, found: Backup) -> None:
    service = destination.service
    with transfer("restore") as begin:
        restore_backup(found, destination, begin(into, found.manifest.bytes))
    if found.remark:
        note(f"the backup {found.id} is {found.remark}")
    counts, (units, things) = found.manifest.counts, _COUNTED[found.manifest.engine]
    if destination.script:
        say(
            f"{into} holds the backup {found.id} of {found.manifest.stack}, changed by anonymise.sql before anybody could connect"
        )
        say(f"put it in place:  keelson restore {service} --swap --copy {into}")
        return
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
