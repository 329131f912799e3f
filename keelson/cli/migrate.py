"""Migrations: what is applied, what is pending."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from keelson import migrations
from keelson.cli import migrate_fleet
from keelson.cli.migrate_fleet import JOBS, DatabasesOption, JobsOption, UrlsOption
from keelson.cli.migrate_target import DirectoryOption, FormatOption, Opened, UrlOption, opened, opened_if_behind
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import print_json, print_table, say
from keelson.errors import SettingsError

if TYPE_CHECKING:
    from keelson.cli.migrate_plan import ShownPlan


def status(  # noqa: PLR0913 - each is an option of its own
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    *,
    urls_from: UrlsOption = "",
    databases: DatabasesOption = "",
    jobs: JobsOption = JOBS,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what each statement of the pending files will do.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the migrations of a database; exit status 1 when one is pending or was changed after it was applied.

    Example: keelson migrate status auth

    Example: keelson migrate status auth --plan

    Example: keelson migrate status --urls-from databases.txt --dir migrations
    """
    location = migrations.Location(directory, format_) if directory else None
    if many := migrate_fleet.chosen(service, url, location, urls_from=urls_from, databases=databases, jobs=jobs):
        migrate_fleet.status(many, as_json=as_json)
    with opened(service, stack, url, directory, format_) as found:
        rows = migrations.status(found.connection, found.files)
        plans = _plans(found, rows) if plan else {}
    if as_json:
        print_json([asdict(row) | ({"plan": plans[row.file].values} if row.file in plans else {}) for row in rows])
    else:
        shown = ((row.version, row.file, row.state, row.applied_at or "", row.description) for row in rows)
        print_table(("VERSION", "FILE", "STATE", "APPLIED AT", "DESCRIPTION"), shown)
        for one in plans.values():
            say(one.text)
    for number in migrations.gaps(found.files):
        say(
            f"warning: no file has the number {number}; one that gets it later comes too late where those after it are applied"
        )
    raise typer.Exit(0 if all(row.state == "applied" for row in rows) else 1)


def up(  # noqa: PLR0913 - each is an option of its own
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    *,
    urls_from: UrlsOption = "",
    databases: DatabasesOption = "",
    jobs: JobsOption = JOBS,
    out_of_order: Annotated[
        bool, typer.Option("--out-of-order", help="Apply files too that come before one that is applied.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Apply what is pending to a database given by --url and --dir, or to many; a stack's are brought up by `keelson up`.

    Example: keelson migrate up --url postgresql://me@host/db --dir sql/auth/migrations

    Example: keelson migrate up --url postgresql://me@host/postgres --databases 'tenant_*' --dir migrations
    """
    location = migrations.Location(directory, format_) if directory else None
    if many := migrate_fleet.chosen(service, url, location, urls_from=urls_from, databases=databases, jobs=jobs):
        migrate_fleet.up(many, out_of_order=out_of_order, as_json=as_json)
    if not url:
        msg = "a stack's migrations are applied by `keelson up`; to apply them elsewhere give --url and --dir"
        raise SettingsError(msg)
    with opened_if_behind(service, stack, url, directory, format_) as found:
        applied = migrations.bring_up(found.connection, found.files, out_of_order=out_of_order) if found else []
    if as_json:
        print_json({"applied": applied})
    else:
        say(f"applied {', '.join(applied)}" if applied else "nothing to do")


def _plans(found: Opened, rows: Iterable[migrations.FileStatus]) -> dict[str, ShownPlan]:
    """Return what the pending files will do, by their names."""
    from keelson.cli.migrate_plan import plans_of  # noqa: PLC0415 - only --plan looks into files

    return plans_of(found, {row.file for row in rows if row.state in {"pending", "half done", "out of order"}})
