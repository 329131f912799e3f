"""A person's rows in all databases of a stack: a copy of them, their erasure, and what of them nobody has named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from keelson import paths
from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import note, print_json, print_table, say
from keelson.cli.question import ask
from keelson.endpoint import resolve_at
from keelson.errors import PrivacyError, SettingsError
from keelson.postgres.names import RoleNames
from keelson.privacy.catalog import read_catalog
from keelson.privacy.check import faults, looks_personal
from keelson.privacy.erasing import Opened, Step, erase, known, opened, plan
from keelson.privacy.exporting import export
from keelson.privacy.receipts import Receipts, canonical
from keelson.privacy.subject import Subject
from keelson.settings.privacy import FILE, read_privacy
from keelson.wording import counted

_APPLICATION = "keelson privacy"

UserOption = Annotated[str, typer.Option("--user", help="The person's id, as the databases have it.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for the id.")]
ReceiptsOption = Annotated[
    Path | None,
    typer.Option(
        "--receipts", envvar="KEELSON_RECEIPTS", help="Where receipts lie; by default below the user's data directory."
    ),
]


def export_command(
    user: UserOption,
    out: Annotated[Path | None, typer.Option("--out", help="The file; by default export-<time>.json here.")] = None,
    stack: StackOption = None,
    receipts: ReceiptsOption = None,
) -> None:
    """Write all rows of a person to a JSON file that you alone can read, and keep a receipt.

    Each database is read as it was at one moment. Columns that privacy.yaml hides are left out.

    Example: keelson privacy export --user 11111111-1111-4111-8111-111111111111
    """
    chosen = context(stack)
    path = out or Path(f"export-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json")
    kept = _receipts(chosen, receipts)
    with opened(_subjects(chosen)) as databases:
        receipt = export(databases, _person(user), path, kept)
    for name, done in receipt.databases.items():
        say(f"{name}: {counted(sum(table['rows'] for table in done['tables'].values()), 'row')}")
    say(f"{path}: sha256 {receipt.values['sha256']}")
    say(f"receipt: {receipt.path}")


def erase_command(
    user: UserOption,
    stack: StackOption = None,
    receipts: ReceiptsOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    yes: YesOption = False,
) -> None:
    """Erase a person's rows as privacy.yaml of each database says: delete, anonymise, or keep for a reason.

    Shows what will happen, and asks for the id. A run that was interrupted is finished by the next one.

    Example: keelson privacy erase --user 11111111-1111-4111-8111-111111111111 --dry-run
    """
    chosen, person = context(stack), _person(user)
    with opened(_subjects(chosen)) as databases:
        steps = plan(databases, person)
        _show(steps)
        if dry_run:
            return
        kept = _receipts(chosen, receipts)
        if not any(step.is_left for step in steps) and not kept.resume(person):
            say("nothing is left to erase")
            return
        _confirm(person, yes=yes)
        _erase(chosen, databases, person, kept)


def again(  # noqa: PLR0913 - the options of a command
    service: OptionalService = None,
    stack: StackOption = None,
    database: Annotated[
        str | None, typer.Option("--database", help="The copy of the service's database that a restore made.")
    ] = None,
    receipts: ReceiptsOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    yes: YesOption = False,
) -> None:
    """Erase again those whose erasure the receipts know, where a restore has brought their rows back.

    Example: keelson privacy again --dry-run

    Example: keelson privacy again auth --database auth_copy
    """
    if database and not service:
        msg = "--database names a copy of one service's database; name the service too"
        raise SettingsError(msg)
    chosen = context(stack)
    subjects = [_subject(chosen, service, database)] if service else _subjects(chosen)
    kept = _receipts(chosen, receipts)
    with opened(subjects) as databases:
        found = known(databases, kept)
        for person in found:
            _show(plan(databases, person))
        say(f"{counted(len(found), 'person')} erased before and here again")
        if dry_run or not found:
            return
        if not yes and ask("number of persons, to erase them again", "nothing is erased") != str(len(found)):
            msg = "nothing is erased: that is not the number"
            raise SettingsError(msg)
        for person in found:
            _erase(chosen, databases, person, kept)


def check(service: OptionalService = None, stack: StackOption = None, *, as_json: JsonOption = False) -> None:
    """Look for what seems to be a person's and no privacy.yaml names; exit status 1 when there is any.

    Example: keelson privacy check

    Example: keelson privacy check auth --json
    """
    chosen = context(stack)
    found = {name: _faults(chosen, name) for name in ([service] if service else chosen.stack.databases)}
    if as_json:
        print_json(found)
    else:
        for name, sentences in found.items():
            say(f"{name}: {'ok' if not sentences else ''}".rstrip())
            for sentence in sentences:
                say(f"  {sentence}")
    raise typer.Exit(1 if any(found.values()) else 0)


def _faults(chosen: Context, name: str) -> list[str]:
    connect = chosen.endpoint(name, "migrator").connect
    with connect(_APPLICATION) as connection:
        catalog = read_catalog(connection)
    if read_privacy(chosen.project.root / chosen.stack.directory(name), chosen.project.root):
        return list(faults(catalog, _subject(chosen, name)))
    source = chosen.stack.directory(name) / FILE
    return [
        f"{table} holds {', '.join(columns)}, and there is no {source}: write it"
        for table, columns in looks_personal(catalog)
    ]


def _subjects(chosen: Context) -> list[Subject]:
    """Return all databases of a stack that have a privacy.yaml."""
    root = chosen.project.root
    found = [name for name in chosen.stack.databases if read_privacy(root / chosen.stack.directory(name), root)]
    if not found:
        msg = f"no database of stack {chosen.stack_name} has a {FILE}; write sql/<database>/{FILE} (docs/privacy.md)"
        raise SettingsError(msg)
    return [_subject(chosen, name) for name in found]


def _subject(chosen: Context, name: str, copy: str | None = None) -> Subject:
    server, root, folder = chosen.server_of(name), chosen.project.root, chosen.stack.directory(name)
    definition = read_privacy(root / folder, root)
    if definition is None:
        msg = f"{folder / FILE} is missing; write it (docs/privacy.md)"
        raise SettingsError(msg)
    reference = chosen.administrator(server, copy) if copy else chosen.reference(name, "migrator")
    endpoint = resolve_at(chosen.locate(server), reference)
    owner = RoleNames(name).owner
    return Subject(copy or name, definition, lambda: endpoint.connect(_APPLICATION), owner, str(folder / FILE))


def _receipts(chosen: Context, directory: Path | None) -> Receipts:
    return Receipts(directory or paths.data() / "privacy" / chosen.stack.key, chosen.stack.key)


def _person(user: str) -> str:
    if not user.strip():
        msg = "--user is empty; give the person's id"
        raise SettingsError(msg)
    return canonical(user.strip())


def _show(steps: Sequence[Step]) -> None:
    rows = [(step.database, step.table, step.action, step.rows, step.because) for step in steps if step.rows]
    print_table(("DATABASE", "TABLE", "ERASING", "ROWS", "WHY ROWS STAY"), rows)


def _confirm(person: str, *, yes: bool) -> None:
    if yes:
        return
    if canonical(ask("the id again, to erase this; there is no way back", "nothing is erased")) != person:
        msg = "nothing is erased: that is another id"
        raise PrivacyError(msg)


def _erase(chosen: Context, databases: Opened, person: str, kept: Receipts) -> None:
    receipt = erase(databases, person, kept)
    for name, done in receipt.databases.items():
        gone = sum(table["rows"] for table in done["tables"].values() if table["action"] != "keep")
        say(f"{name}: {counted(gone, 'row')} erased")
    say(f"receipt: {receipt.path}")
    for subject, _ in databases:
        if subject.name in chosen.stack.databases:
            note(_backups(chosen, subject.name))


def _backups(chosen: Context, name: str) -> str:
    """Say how long backups hold what was erased."""
    settings = chosen.stack.backup_of(name)
    until = datetime.now(UTC) + timedelta(days=settings.keep_days)
    return (
        f"backups of {name} that were made before now hold the rows until {until:%Y-%m-%d} ({settings.keep_days} days), and longer"
        f" while fewer than {settings.keep_at_least} good ones are newer; after a restore, run `keelson privacy again`"
    )
