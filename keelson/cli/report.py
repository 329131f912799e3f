"""Reports on a database."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from keelson import reports
from keelson.cli.completion import complete_report, complete_service
from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, StackOption
from keelson.cli.output import console, human_bytes, note, print_json, print_table, say
from keelson.errors import SettingsError
from keelson.postgres.names import RoleNames
from keelson.reports import BUILT_IN, CHECK, QUERY, Report, Rows

_ROLES = {BUILT_IN: "admin", QUERY: "readonly", CHECK: "migrator"}


def report(  # noqa: PLR0913 - the options of a command
    name: Annotated[
        str | None, typer.Argument(help="A report; none lists them all.", autocompletion=complete_report)
    ] = None,
    service: Annotated[
        str | None, typer.Argument(help="A service's database.", autocompletion=complete_service)
    ] = None,
    stack: StackOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many rows at most; 0 for all.")] = 50,
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a report on a service's database, read-only; exit status 1 when a check of the service finds something.

    Built-in reports run as the administrator, a service's queries as its reader, its checks as its owner, from whom
    row-level security hides nothing.

    Example: keelson report

    Example: keelson report sizes market
    """
    chosen = context(stack)
    known = _known(chosen)
    if name is None:
        _list(known, as_json=as_json)
        return
    if service:
        chosen.server_of(service)
    found = _chosen(name, service, known)
    rows = _run(chosen, found, service or found.service, limit)
    if as_json:
        print_json([dict(zip(rows.columns, map(_plain, row), strict=True)) for row in rows.rows])
    elif as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([rows.columns, *rows.rows])
    else:
        _print(found, rows)
    if rows.more:
        note(f"there are more than {limit} rows; --limit 0 shows all")
    raise typer.Exit(1 if found.kind == CHECK and rows.rows else 0)


def _known(chosen: Context) -> tuple[Report, ...]:
    root = chosen.project.root
    own = (reports.of_service(service, root / chosen.stack.directory(service)) for service in chosen.stack.databases)
    return (*reports.built_in(), *(each for found in own for each in found))


def _chosen(name: str, service: str | None, known: Iterable[Report]) -> Report:
    """Return the report that is meant; a service's own needs no service where only one has it."""
    fitting = tuple(each for each in known if not service or each.service in {"", service})
    found = reports.find(name, fitting)
    if not service and (len(found) > 1 or not found[0].service):
        owners = ", ".join(each.service for each in found if each.service)
        whose = f"; {owners} have it" if owners else ""
        msg = f"name the service whose database the report {name} is about, for example `keelson report {name} auth`{whose}"
        raise SettingsError(msg)
    return found[0]


def _run(chosen: Context, found: Report, service: str, limit: int) -> Rows:
    owner = RoleNames(service).owner if found.kind == CHECK else ""
    endpoint = chosen.endpoint(service, _ROLES[found.kind])
    with endpoint.connect("keelson report", patience=0) as connection:
        return reports.run(connection, found, limit=limit, owner=owner)


def _list(known: Iterable[Report], *, as_json: bool) -> None:
    rows = [(each.name, each.service, each.kind, each.description) for each in known]
    if as_json:
        keys = ("name", "service", "kind", "description")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(("REPORT", "SERVICE", "KIND", "SHOWS"), ((n, s or "any", k, d) for n, s, k, d in rows))


def _print(found: Report, rows: Rows) -> None:
    if not rows.rows:
        say("nothing found; all is well" if found.kind == CHECK else "nothing found")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    numeric = _numeric(rows)
    for place, column in enumerate(rows.columns):
        table.add_column(column, justify="right" if place in numeric else "left", overflow="fold")
    for row in rows.rows:
        table.add_row(*(_cell(column, value) for column, value in zip(rows.columns, row, strict=True)))
    (console() if console().is_terminal else Console(highlight=False, width=10_000)).print(table, markup=False)


def _numeric(rows: Rows) -> set[int]:
    first: Mapping[int, Any] = dict(enumerate(rows.rows[0]))
    return {place for place, value in first.items() if isinstance(value, int | float | Decimal)}


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if column.endswith("_bytes") and isinstance(value, int):
        return human_bytes(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return " ".join(str(value).split())


def _plain(value: object) -> object:
    """Return a value as JSON has it; numbers stay numbers."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
