"""The audit trail of a database: where it ends, whether it is whole, what stands in it."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO

import psycopg
import typer
from psycopg import sql

from keelson.audit import trail
from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, ServiceArgument, StackOption
from keelson.cli.output import print_json, say
from keelson.errors import AuditError
from keelson.postgres.names import RoleNames
from keelson.wording import counted


def head(service: ServiceArgument, stack: StackOption = None) -> None:
    """Print where the trail ends now, in one word, to be kept where nobody who may change the database can change it.

    Example: keelson audit head portfolio > portfolio.head
    """
    with _opened(context(stack), service) as connection:
        say(trail.write_heads(trail.heads(connection)))


def verify(
    service: ServiceArgument,
    stack: StackOption = None,
    head: Annotated[
        str | None, typer.Option("--head", help="What `keelson audit head` printed before, or a file with it.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Look at the whole trail; exit status 1 when an entry was changed or is gone, or changes are not written.

    Entries that are gone from the end show by a head alone that was kept elsewhere.

    Example: keelson audit verify portfolio --head portfolio.head
    """
    chosen = context(stack)
    known = trail.read_heads(_text(head)) if head else ()
    with _opened(chosen, service) as connection:
        found = trail.verify(connection, service, chosen.stack.databases[service].audit, known)
    if as_json:
        print_json({"entries": found.entries, "with_values": found.details, "faults": found.faults})
    else:
        for fault in found.faults:
            say(fault)
        if not found.faults:
            ends = (
                f"up to {counted(len(known), 'head')} that were given"
                if known
                else "no head was given, so entries may be gone from its end"
            )
            say(f"{counted(found.entries, 'entry')} whole, {found.details} with their values; {ends}")
    raise typer.Exit(1 if found.faults else 0)


def export(  # noqa: PLR0913, PLR0917 - the options of a command
    service: ServiceArgument,
    stack: StackOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A new file, of mode 0600; by default standard output.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="From this day or time on, in UTC where it has no zone.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this day or time.")] = None,
    form: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
) -> None:
    """Write who changed which row, with the values from before and after where they were not erased.

    Example: keelson audit export portfolio --from 2026-01-01 --to 2027-01-01 --format csv --out 2026.csv
    """
    if form not in {"jsonl", "csv"}:
        msg = f"--format is {form!r}; give jsonl or csv"
        raise AuditError(msg)
    span = _time(since, "--from"), _time(until, "--to")
    with _opened(context(stack), service) as connection, _target(out) as file:
        number = (_csv if form == "csv" else _jsonl)(trail.entries(connection, *span), file)
    if out:
        say(f"{out}: {counted(number, 'entry')}")


@contextmanager
def _opened(chosen: Context, service: str) -> Iterator[psycopg.Connection]:
    with chosen.endpoint(service, "migrator").connect("keelson audit") as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(RoleNames(service).owner)))
        yield connection


def _jsonl(found: Iterator[Mapping[str, object]], file: TextIO) -> int:
    number = 0
    for number, entry in enumerate(found, 1):  # noqa: B007 - the last number is the result
        file.write(json.dumps(entry, default=_plain, ensure_ascii=False) + "\n")
    return number


def _csv(found: Iterator[Mapping[str, object]], file: TextIO) -> int:
    writer, number = csv.writer(file), 0
    writer.writerow(trail.COLUMNS)
    for number, entry in enumerate(found, 1):  # noqa: B007 - the last number is the result
        writer.writerow([_cell(entry[column]) for column in trail.COLUMNS])
    return number


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else _plain(value)


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


@contextmanager
def _target(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        with os.fdopen(
            os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            yield file
    except OSError as fault:
        msg = f"cannot write {out}: {fault.strerror}; name another file with --out"
        raise AuditError(msg) from None


def _text(head: str) -> str:
    path = Path(head)
    return path.read_text(encoding="utf-8") if len(head) < 256 and path.is_file() else head  # noqa: PLR2004 - no name is longer


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{option} is {text!r}; write a day or a time such as 2026-11-21 or 2026-11-21T08:00:00+01:00"
        raise AuditError(msg) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
