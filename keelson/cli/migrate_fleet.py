"""Migrations of many databases at once: those whose URLs a file names, or those of a server whose names match a pattern."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import psycopg
import typer

from keelson import migrations
from keelson.cli.output import complain, print_json, print_table, say
from keelson.errors import SettingsError
from keelson.migrations import fleet
from keelson.migrations.fleet import Outcome, Target
from keelson.migrations.standing import FileStatus

UrlsOption = Annotated[
    str, typer.Option("--urls-from", help="A file of databases, one URL on a line; - reads standard input.")
]
DatabasesOption = Annotated[
    str, typer.Option("--databases", help="With --url: all databases of that server of such names, such as 'tenant_*'.")
]
JobsOption = Annotated[int, typer.Option("--jobs", min=1, help="How many databases at once.")]
JOBS = fleet.JOBS


@dataclass(frozen=True)
class Fleet:
    """Databases, and the folder of migrations that all of them have."""

    targets: list[Target]
    location: migrations.Location
    jobs: int

    def files(self) -> tuple[migrations.MigrationFile, ...]:
        """Read the migrations, once for all."""
        return self.location.read(Path.cwd())


def chosen(  # noqa: PLR0913 - the options that say which databases are meant
    service: str | None,
    url: str | None,
    location: migrations.Location | None,
    *,
    urls_from: str,
    databases: str,
    jobs: int,
) -> Fleet | None:
    """Return the fleet that the options name; None where they name one database.

    Raises:
        SettingsError: they contradict each other, or name no database.
    """
    if not urls_from and not databases:
        return None
    if service or not location or bool(urls_from) == bool(url and databases):
        msg = "for many databases give --dir, and --urls-from, or --url and --databases"
        raise SettingsError(msg)
    return Fleet(fleet.targets_on(str(url), databases) if databases else _listed(urls_from), location, jobs)


def up(found: Fleet, *, out_of_order: bool, as_json: bool) -> NoReturn:
    """Bring all databases up; exit status 1 where one failed."""
    files, digest = found.files(), migrations.digest_of(found.location.directory)

    def work(connection: psycopg.Connection, go_on: Callable[[str], None]) -> list[str]:
        if migrations.is_current(connection, digest):
            return []
        return migrations.bring_up(connection, files, on_progress=go_on, out_of_order=out_of_order)

    def line(outcome: Outcome[list[str]]) -> str:
        return f"{outcome.target.name}: applied {len(outcome.value)}" if outcome.value else ""

    outcomes = _run(found, work, "" if as_json else "migrating", line)
    if as_json:
        print_json([_as_json(each, applied=each.value or []) for each in outcomes])
    else:
        changed = sum(bool(each.value) for each in outcomes)
        applied = sum(len(each.value or ()) for each in outcomes)
        current = sum(each.value == [] for each in outcomes)
        say(
            f"{len(outcomes)} databases: {changed} brought up ({applied} migrations), {current} had nothing to do{_failed(outcomes)}"
        )
    _end(outcomes)


def status(found: Fleet, *, as_json: bool) -> NoReturn:
    """List where all databases stand; exit status 1 where one is not as the files say."""
    files, digest = found.files(), migrations.digest_of(found.location.directory)

    def work(connection: psycopg.Connection, _go_on: Callable[[str], None]) -> tuple[FileStatus, ...]:
        if migrations.is_current(connection, digest):
            return ()
        return tuple(each for each in migrations.status(connection, files) if each.state != "applied")

    outcomes = _run(found, work, "" if as_json else "asking", lambda _outcome: "")
    if as_json:
        print_json([_as_json(each, files={item.file: item.state for item in each.value or ()}) for each in outcomes])
    else:
        print_table(("DATABASE", "STATE"), ((each.target.name, _state(each)) for each in outcomes))
        well = sum(each.value == () for each in outcomes)
        say(f"{len(outcomes)} databases: {well} as the files say, {len(outcomes) - well} not{_failed(outcomes)}")
    _end(outcomes, is_well=all(not each.value for each in outcomes))


def _listed(urls_from: str) -> list[Target]:
    if urls_from == "-":
        return fleet.targets_of(sys.stdin, "standard input")
    try:
        with Path(urls_from).open(encoding="utf-8") as lines:
            return fleet.targets_of(lines, urls_from)
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8"
        msg = f"{urls_from} cannot be read: {reason}; give a file of URLs, one on a line"
        raise SettingsError(msg) from None


def _run(
    found: Fleet,
    work: Callable[[psycopg.Connection, Callable[[str], None]], Any],
    title: str,
    line: Callable[[Outcome[Any]], str],
) -> list[Outcome[Any]]:
    """Do the work everywhere; each failure is told when it happens, progress as far as a title is given."""
    with _shown(title, len(found.targets)) as advance:

        def done(outcome: Outcome[Any]) -> None:
            advance(outcome.target.name)
            if outcome.fault:
                complain(f"{outcome.target.name}: {outcome.fault}")
            elif title and (text := line(outcome)):
                say(text)

        return fleet.each(found.targets, work, jobs=found.jobs, on_done=done)


@contextmanager
def _shown(title: str, steps: int) -> Iterator[Callable[[str], None]]:
    """Show a bar where somebody watches."""
    if not title or not sys.stderr.isatty():
        yield lambda _step: None
        return
    from keelson.cli.progress import progress  # noqa: PLC0415 - rich is of use on a terminal alone

    with progress(title, steps) as advance:
        yield advance


def _as_json(outcome: Outcome[Any], **more: object) -> dict[str, object]:
    state = "failed" if outcome.fault else "done"
    return {
        "database": outcome.target.name,
        "state": state,
        "seconds": round(outcome.seconds, 3),
        **more,
        "fault": outcome.fault or None,
    }


def _state(outcome: Outcome[tuple[FileStatus, ...]]) -> str:
    counted = Counter(item.state for item in outcome.value or ())
    return (
        "failed" if outcome.fault else ", ".join(f"{number} {state}" for state, number in counted.items()) or "applied"
    )


def _failed(outcomes: list[Outcome[Any]]) -> str:
    names = [each.target.name for each in outcomes if each.fault]
    return f", {len(names)} failed: {', '.join(names)}" if names else ""


def _end(outcomes: list[Outcome[Any]], *, is_well: bool = True) -> NoReturn:
    raise typer.Exit(0 if is_well and not any(each.fault for each in outcomes) else 1)
