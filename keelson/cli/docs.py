"""Write a schema's documentation."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from keelson.cli.migrate_target import DirectoryOption, FormatOption, Place, UrlOption, place
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import print_json, say
from keelson.cli.subject import ScratchOption, subject_of
from keelson.errors import SettingsError
from keelson.migrations import scratch
from keelson.postgres.connection import connect
from keelson.postgres.snapshot import Snapshot, as_markdown, read


def docs(  # noqa: PLR0913, PLR0917 - the options of the command
    service: OptionalService = None,
    stack: StackOption = None,
    url: UrlOption = None,
    directory: DirectoryOption = None,
    format_: FormatOption = "",
    scratch_url: ScratchOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write, in place of the terminal.")
    ] = None,
    *,
    from_files: Annotated[
        bool, typer.Option("--from-files", help="Document what the migrations make, not what is live.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit status 1 when the file is not up to date.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a database's tables, columns, comments, relations, views, functions and policies as Markdown, with a diagram.

    Example: keelson docs auth --output DATABASE.md

    Example: keelson docs auth --from-files --output DATABASE.md --check
    """
    if check and output is None:
        msg = "--check compares with a file; name it by --output"
        raise SettingsError(msg)
    if url and not (service or directory or from_files):
        with connect(url, application_name="keelson docs") as connection:
            title, description, snapshot = connection.info.dbname, "", read(connection)
    else:
        where = place(service, stack, url, directory, format_)
        title, description = where.name, _description(where)
        snapshot = _of_files(where, scratch_url) if from_files or not where.is_live else _of_live(where)
    if as_json:
        print_json([{"kind": key.kind, "name": key.name, "parts": parts} for key, parts in snapshot.objects.items()])
        return
    text = as_markdown(snapshot, title, description=description, made_by=f"keelson docs {service or '--url'}")
    if output is None:
        sys.stdout.write(text)
    elif check:
        _check(output, text)
    else:
        output.write_text(text, encoding="utf-8")
        say(f"wrote {output}")


def _of_live(where: Place) -> Snapshot:
    with where.connected() as connection:
        return read(connection)


def _of_files(where: Place, scratch_url: str | None) -> Snapshot:
    """Return the catalog that the files make."""
    with where.connected_if_there() if where.url else nullcontext() as live:
        subject = subject_of(where, live)
    with scratch.on(scratch_url) as server:
        database = subject.make(server, subject.files)
        subject.finish(database)
        return subject.look_at(database)


def _description(where: Place) -> str:
    """Return what database.yaml says that a service is for."""
    return where.chosen.stack.databases[where.service].description if where.chosen else ""


def _check(output: Path, text: str) -> None:
    try:
        written = output.read_text(encoding="utf-8")
    except FileNotFoundError:
        written = ""
    if written != text:
        say(f"{output} is not up to date; write it again without --check")
        raise typer.Exit(1)
    say(f"{output} is up to date")
