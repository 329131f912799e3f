"""Migrations: what is applied, what is pending, a new file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from keelson import migrations
from keelson.cli.context import JsonOption, StackOption, context
from keelson.cli.output import print_json, print_table, say
from keelson.errors import SettingsError
from keelson.postgres.connection import connect
from keelson.project import find_project
from keelson.settings.stack import SQL_DIRECTORY

application = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

UrlOption = Annotated[str | None, typer.Option("--url", help="A database's URL, in place of a stack.")]
DirectoryOption = Annotated[Path | None, typer.Option("--dir", help="The folder of migrations that goes with --url.")]
ServiceOption = Annotated[str | None, typer.Argument(help="A service's database, for example auth.")]


@dataclass(frozen=True)
class FileStatus:
    """One migration, applied or pending."""

    file: str
    version: int
    description: str
    applied_at: datetime | None
    state: str


@application.callback()
def _group() -> None:
    """Migrations: what is applied, what is pending, a new file."""


@application.command()
def status(
    service: ServiceOption = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the migrations of a database; exit status 1 when one is pending or was changed after it was applied.

    Example: keelson migrate status auth
    """
    with _opened(service, stack, url, directory) as (connection, files):
        rows = [FileStatus(**asdict(entry)) for entry in migrations.status(connection, files)]
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        shown = ((row.version, row.file, row.state, row.applied_at or "", row.description) for row in rows)
        print_table(("VERSION", "FILE", "STATE", "APPLIED AT", "DESCRIPTION"), shown)
    raise typer.Exit(0 if all(row.state == "applied" for row in rows) else 1)


@application.command()
def up(
    service: ServiceOption = None, stack: StackOption = None, url: UrlOption = None, directory: DirectoryOption = None
) -> None:
    """Apply what is pending to a database given by --url and --dir; a stack's databases are brought up by `keelson up`.

    Example: keelson migrate up --url postgresql://me@host/db --dir sql/auth/migrations
    """
    if not url:
        msg = "a stack's migrations are applied by `keelson up`; to apply them elsewhere give --url and --dir"
        raise SettingsError(msg)
    with _opened(service, stack, url, directory) as (connection, files):
        before = migrations.read_ledger(connection)
        ledger = migrations.apply(connection, files)
    done = [name for name in ledger if name not in before]
    say(f"applied {', '.join(done)}" if done else "nothing to do")


@application.command()
def new(
    service: Annotated[str, typer.Argument(help="A service, for example auth.")],
    description: Annotated[str, typer.Argument(help="What it does, in a few words.")],
) -> None:
    """Write an empty migration and its undo, with the next number.

    Example: keelson migrate new auth "add phone to users"
    """
    project = find_project()
    folder = project.root / SQL_DIRECTORY / service / "migrations"
    if not folder.is_dir():
        msg = f"there is no {folder.relative_to(project.root)}; `keelson service add {service}` makes a service"
        raise SettingsError(msg)
    files = migrations.read_directory(folder, project.root)
    number = max((file.version for file in files), default=0) + 1
    words = re.sub(r"[^a-z0-9]+", "_", description.lower()).strip("_")
    if not words:
        msg = f"the description {description!r} has no letter or digit to name a file by; say what the migration does"
        raise SettingsError(msg)
    for suffix, text in ((".sql", f"-- Description: {description}\n"), (".down.sql", f"-- Undo: {description}\n")):
        path = folder / f"{number:03d}_{words}{suffix}"
        path.write_text(text, encoding="utf-8")
        say(f"made {path.relative_to(project.root)}")


@contextmanager
def _opened(
    service: str | None, stack: str | None, url: str | None, directory: Path | None
) -> Iterator[tuple[psycopg.Connection, tuple[migrations.MigrationFile, ...]]]:
    """Open the database and read the files that the arguments name."""
    if url and directory and not service:
        files = migrations.read_directory(directory, Path.cwd())
        with connect(url, application_name="keelson migrate") as connection:
            yield connection, files
    elif service and not (url or directory):
        chosen = context(stack)
        root = chosen.project.root
        reference = chosen.reference(service, "migrator")
        files = migrations.read_directory(root / chosen.stack.directory(service) / "migrations", root)
        with chosen.endpoint(service, reference.role).connect("keelson migrate") as connection:
            yield connection, files
    else:
        msg = "name a service of the stack, or give both --url and --dir"
        raise SettingsError(msg)
