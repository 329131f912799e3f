"""The database that a command is about: a service's of a stack, or one given by its URL and a folder of migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer

from keelson import migrations
from keelson.cli.output import note
from keelson.errors import SettingsError, UnreachableError
from keelson.postgres.connection import connect

if TYPE_CHECKING:
    from keelson.cli.context import Context

UrlOption = Annotated[str | None, typer.Option("--url", help="A database's URL, in place of a stack.")]
DirectoryOption = Annotated[Path | None, typer.Option("--dir", help="The folder of migrations that goes with --url.")]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format", help="What tool the files of --dir are of, such as flyway or goose; by default as their names say."
    ),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in a few words; it is kept in schema_history.")]


PATIENCE = 3.0  # seconds for a database that need not be there
_APPLICATION = "keelson migrate"
_WANTED = "name a service of the stack, or give both --url and --dir"


@dataclass(frozen=True)
class Place:
    """A database with its migrations, as the arguments of a command name it.

    Attributes:
        location: Where its migrations lie and how they are read.
        root: What the location is relative to.
        url: Where it answers, where it is none of a stack; empty: only its files are looked at.
        service: The service's name, where it is one of a stack.
        chosen: The stack, where it is one of a stack.
    """

    location: migrations.Location
    root: Path
    url: str = ""
    service: str = ""
    chosen: Context | None = None

    @property
    def name(self) -> str:
        """What a list calls the database."""
        return self.service or str(self.location.directory)

    @property
    def is_live(self) -> bool:
        """Whether there is a database to connect to, beside the files."""
        return self.chosen is not None or bool(self.url)

    def files(self) -> tuple[migrations.MigrationFile, ...]:
        """Read its migrations; raises MigrationError."""
        return self.location.read(self.root)

    def digest(self) -> str | None:
        """Return what stands for all files of a plain folder; None where they have to be read for that."""
        is_own = self.location.format in {"", migrations.OWN_FORMAT}
        return migrations.digest_of(self.location.directory) if is_own and not self.chosen else None

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection]:
        """Connect to the live database for the block; raises UnreachableError."""
        with self._connect() as connection:
            yield connection

    @contextmanager
    def connected_if_there(self) -> Iterator[psycopg.Connection | None]:
        """Connect as `connected` does, or give None where there is no such database now."""
        try:
            connection = self._connect(PATIENCE) if self.is_live else None
        except UnreachableError as fault:
            note(f"{self.name}: no live database is looked at: {fault}")
            connection = None
        if connection is None:
            yield None
            return
        with connection:
            yield connection

    def _connect(self, patience: float = 20.0) -> psycopg.Connection:
        if self.chosen:
            return self.chosen.endpoint(self.service, "migrator").connect(_APPLICATION, patience)
        return connect(self.url, application_name=_APPLICATION, deadline=patience)


@dataclass(frozen=True)
class Opened:
    """A database with its migrations.

    Attributes:
        connection: The migrator's, or the one of the URL.
        files: Its migrations, in order.
        place: What the arguments named.
    """

    connection: psycopg.Connection
    files: tuple[migrations.MigrationFile, ...]
    place: Place

    @property
    def owner(self) -> str | None:
        """The role that migrations run as; None: the login itself."""
        if not self.place.chosen:
            return None
        from keelson.postgres.names import RoleNames  # noqa: PLC0415 - a database given by its URL needs none

        return RoleNames(self.place.service).owner

    def tell_stack(self) -> None:
        """Have the stack's state say what the database's ledger says, so that the next preview starts from that."""
        if self.place.chosen:
            self.place.chosen.engine.set_ledger(self.place.service, migrations.read_ledger(self.connection))


def place(service: str | None, stack: str | None, url: str | None, directory: Path | None, format_: str = "") -> Place:
    """Return what the arguments name; raises SettingsError where they name nothing or too much."""
    if directory and not service:
        return Place(migrations.Location(directory, format_), Path.cwd(), url or "")
    if service and not (url or directory):
        from keelson.cli.context import context  # noqa: PLC0415 - a database given by its URL needs no stack

        return place_in(context(stack), service)
    raise SettingsError(_WANTED)


def place_in(chosen: Context, service: str) -> Place:
    """Return the place of a stack's service; raises SettingsError where the stack has no such service."""
    chosen.server_of(service)
    return Place(migrations.location_of(chosen.stack, service), chosen.project.root, service=service, chosen=chosen)


@contextmanager
def opened(
    service: str | None, stack: str | None, url: str | None, directory: Path | None, format_: str = ""
) -> Iterator[Opened]:
    """Read the files that the arguments name, and open the database.

    Raises:
        SettingsError: they name none, or two.
    """
    where = _live_place(service, stack, url, directory, format_)
    files = where.files()
    with where.connected() as connection:
        yield Opened(connection, files, where)


@contextmanager
def opened_if_behind(
    service: str | None, stack: str | None, url: str | None, directory: Path | None, format_: str = ""
) -> Iterator[Opened | None]:
    """Do the same, or give None where it is known without a look at each file that nothing is to be done."""
    where = _live_place(service, stack, url, directory, format_)
    digest = where.digest()
    files = where.files() if digest is None else None
    with where.connected() as connection:
        if migrations.is_current(connection, digest):
            yield None
        else:
            yield Opened(connection, where.files() if files is None else files, where)


def _live_place(service: str | None, stack: str | None, url: str | None, directory: Path | None, format_: str) -> Place:
    """Return what the arguments name, which has to be a database."""
    where = place(service, stack, url, directory, format_)
    if not where.is_live:
        raise SettingsError(_WANTED)
    return where
