"""A restore that takes the place of the live database: which backup, what would be lost, and the name typed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta

import typer

from keelson import inside
from keelson.backups.engines import Destination
from keelson.backups.foresight import Foresight, Table, foresee
from keelson.backups.single import restore_table
from keelson.backups.store import Backup, Store
from keelson.backups.swapping import Rights, Swapped, copy_name, finish, restore_over, swap_in
from keelson.cli.backup import size
from keelson.cli.context import Context
from keelson.cli.output import note, print_json, print_table, say
from keelson.cli.progress import transfer, working
from keelson.endpoint import Reference
from keelson.errors import BackupError, KeelsonError, SettingsError
from keelson.postgres.roles import ExtraLogin
from keelson.settings.roles import bounds_of
from keelson.wording import counted

NO_TERMINAL = "there is no terminal to ask on; give --backup ID with --into NAME, or with --swap --confirm {}"


def is_asked() -> bool:
    """Say whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def pick(store: Store, service: str) -> Backup:
    """List the backups of a service and let one be picked; raises typer.BadParameter where nobody can be asked."""
    store.find(service)  # where there is none, that is the sentence
    every = store.all(service)
    rows = [(number, each.id, *_described(each)) for number, each in enumerate(every, 1)]
    print_table(("", "ID", "BEGUN (UTC)", "REASON", "SIZE", "ROWS", "VERSION", ""), rows)
    if not is_asked():
        raise typer.BadParameter(NO_TERMINAL.format(service))
    newest = next(number for number, each in enumerate(every, 1) if not each.fault)
    number = int(typer.prompt("number of the backup", default=newest, type=int))
    if not 1 <= number <= len(every):
        msg = f"there is no backup with the number {number} in the list; give one of 1 to {len(every)}"
        raise BackupError(msg)
    return every[number - 1]


def is_to_replace(service: str) -> bool:
    """Let a person say whether a backup takes the place of the live database; else it comes beside."""
    return typer.confirm(f"put it in the place of the live {service}? If not, it is restored beside", default=False)


def show(chosen: Context, service: str, backup: Backup, *, as_json: bool = False) -> Foresight:
    """Show what a restore of a backup would need and lose; raises BackupError where it cannot be."""
    with working(f"counting the rows of {service}"):
        found = foresee(database_of(chosen, service), service, backup)
    if as_json:
        print_json(asdict(found) | {"backup": backup.id, "age": found.age.total_seconds()})
        return found
    say(f"backup {backup.id} of {service}, {_age(found.age)} old, {size(backup.manifest.bytes)}")
    differing = found.differing
    if differing:
        print_table(("TABLE", "ROWS NOW", "IN THE BACKUP", "FEWER"), _rows(differing))
    alike = len(found.tables) - len(differing)
    say(
        f"{counted(alike, 'table')} {'has' if alike == 1 else 'have'} as many rows in both; what was changed in place is not counted"
    )
    now, then = found.versions
    if now != then:
        say(
            f"the schema is of version {now} now and {then} in the backup; the next `keelson up` applies the migrations in between"
        )
    free = "how much is free on the server is not known" if found.free is None else f"{size(found.free)} are free there"
    say(f"it needs about {size(found.needed)}; {free}")
    return found


def refuse_unconfirmed(service: str, confirm: str) -> None:
    """Let the name be typed of the database that is to be replaced; raises SettingsError where it is not."""
    if not confirm and is_asked():
        confirm = str(typer.prompt(f"type {service} to put it in the place of the live database"))
    if confirm != service:
        msg = f"the database {service} is live and stays as it is; to put the backup in its place, add --confirm {service}"
        raise SettingsError(msg)


def swap(chosen: Context, service: str, backup: Backup) -> None:
    """Restore a backup, hold it against what was backed up, and let it take the place of the live database."""
    reference = database_of(chosen, service).to(database=copy_name(service, backup))
    destination = Destination(service, reference)
    with transfer("restore") as begin:
        watch = begin(service, backup.manifest.bytes)
        swapped = restore_over(backup, destination, rights_of(chosen, service), watch)
    if backup.remark:
        note(f"the backup {backup.id} is {backup.remark}")
    rows = sum(backup.manifest.counts.values())
    say(f"{service} is the backup {backup.id} now: {len(backup.manifest.counts)} tables, {rows} rows, as backed up")
    _tell(service, swapped)


def swap_copy(chosen: Context, service: str, copy: str) -> None:
    """Let a copy that is there take the place of the live database."""
    swapped = swap_in(database_of(chosen, service), service, copy, rights_of(chosen, service))
    say(f"{service} is the database now that was {copy}")
    _tell(service, swapped)


def restore_one(chosen: Context, service: str, backup: Backup, table: str, into: str | None) -> None:
    """Put one table of a backup beside the live one, and say how rows are taken over."""
    destination = Destination(service, database_of(chosen, service).to(database=copy_name(service, backup)))
    with transfer("restore") as begin:
        done = restore_table(backup, destination, table, into, begin(service, backup.manifest.bytes))
    say(
        f"{done.table} holds {counted(done.rows, 'row')} of {table} as they are in the backup {backup.id}; nothing else is changed"
    )
    say(f"take over what is missing, by `keelson psql {service} --role admin`:\n  {done.statement};")
    say(f"drop it:\n  DROP TABLE {done.table};")


def settle(chosen: Context, service: str) -> None:
    """Finish what a swap that was killed has left, and say so."""
    for sentence in finish(database_of(chosen, service), service):
        note(f"a swap that was cut off is finished: {sentence}")


def follow(chosen: Context, service: str) -> None:
    """Have the stack's state say what the new database's ledger says, so that the next preview starts from that; say what is left to do."""
    if inside.here():
        return
    try:
        _tell_state(chosen, service)
    except KeelsonError as fault:
        note(f"the stack's state does not know the database's migrations yet ({fault}); run `keelson up -- --refresh`")
    remind(chosen, service, "keelson privacy again")


def remind(chosen: Context, service: str, command: str) -> None:
    """Say what a backup of a service that holds persons brings back."""
    if service in chosen.stack.databases and (
        (chosen.stack.root / chosen.stack.directory(service) / "privacy.yaml").is_file()
    ):
        note(f"the backup brings back persons who were erased since; `{command}` erases them once more")


def database_of(chosen: Context, service: str) -> Reference:
    """Return the reference to a service's database as its administrator."""
    return chosen.administrator(chosen.server_of(service), service)


def rights_of(chosen: Context, service: str) -> Rights:
    """Return what the settings say of those who connect to a service's database."""
    logins = chosen.stack.databases[service].logins.items()
    return Rights({name: ExtraLogin(**login.rights) for name, login in logins}, bounds_of(chosen.stack, service))


def refuse_redis(chosen: Context, service: str) -> None:
    """Raise BackupError for a Redis, whose backup goes into another one alone."""
    if service in chosen.stack.settings.redis:
        msg = f"{service} is a Redis; `keelson restore {service} --into` another Redis of the stack restores its backup"
        raise BackupError(msg)


def _tell_state(chosen: Context, service: str) -> None:
    from keelson.endpoint import resolve  # noqa: PLC0415 - only where the stack's state is
    from keelson.migrations import read_ledger  # noqa: PLC0415
    from keelson.state import last_known  # noqa: PLC0415

    with resolve(database_of(chosen, service)).connect("keelson restore") as live:
        ledger = read_ledger(live)
    if ledger != last_known(chosen.engine.resources(), service).ledger:
        chosen.engine.set_ledger(service, ledger)


def _tell(service: str, swapped: Swapped) -> None:
    ended = sum(swapped.ended.values())
    who = ", ".join(f"{count} of {name}" for name, count in sorted(swapped.ended.items()))
    say(f"connections that were ended: {ended}{f' ({who})' if who else ''}")
    say(f"the database of before is kept as {swapped.kept}")
    say(f"look at it:  keelson psql {service} --database {swapped.kept}")
    say(f"go back:     keelson restore {service} --swap --copy {swapped.kept}")
    say(f"drop it:     keelson restore {service} --discard {swapped.kept}")


def _described(backup: Backup) -> tuple[object, ...]:
    begun = f"{backup.begun:%Y-%m-%d %H:%M:%S}"
    if fault := backup.fault:
        return begun, "", "", "", "", f"DAMAGED: {fault}"
    made = backup.manifest
    return begun, made.reason, size(made.bytes), sum(made.counts.values()), made.facts.get("schema_version") or "", ""


def _rows(tables: Iterable[Table]) -> Iterable[tuple[object, ...]]:
    for table in tables:
        yield (
            table.name,
            *("no table" if rows is None else rows for rows in (table.live, table.backup)),
            table.lost or "",
        )


def _age(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"  # noqa: PLR2004
