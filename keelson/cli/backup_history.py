"""What became of the runs of a stack's jobs, and of what was made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from keelson.agent import history, jobs
from keelson.backups.drills import evidence
from keelson.backups.making import SCHEDULED
from keelson.backups.store import Store
from keelson.cli.backup import store_of
from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, StackOption
from keelson.cli.output import print_json, print_table, say
from keelson.cli.place import run_where_files_lie
from keelson.errors import BackupError, SettingsError

BACKUP, DRILL = "backup", "drill"
CLOSE = 1.0  # s by which a run begins before what it makes

ServicesArgument = Annotated[list[str] | None, typer.Argument(help="Services or Redis servers, for example auth.")]
LinesOption = Annotated[int, typer.Option("--lines", "-n", min=1, help="At most so many of each service.")]


def history_(
    services: ServicesArgument = None,
    stack: StackOption = None,
    lines: LinesOption = 20,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the runs of backups and drills, the newest first: those of the agent, failed ones too, and what was made by hand.

    Exit status 1 when the newest run of one of them failed.

    Example: keelson backup history portfolio --json
    """
    chosen = context(stack)
    options = ["--lines", str(lines), *(["--json"] if as_json else ())]
    run_where_files_lie(chosen, "backup", "history", *options, *(services or ()))
    store = store_of(chosen)
    found = [entry for name in _names(chosen, store, services) for entry in _entries(chosen, store, name)[:lines]]
    if as_json:
        print_json(found)
    else:
        print_table(("SERVICE", "KIND", "BY", "BEGUN (UTC)", "SECONDS", ""), map(_row, found))
        if not found:
            say("no run yet; `keelson status` says when the next one is due")
    newest = {(entry["service"], entry["kind"]): entry for entry in reversed(found)}
    raise typer.Exit(1 if any(entry["error"] for entry in newest.values()) else 0)


def _names(chosen: Context, store: Store, services: list[str] | None) -> list[str]:
    known = {job.partition("-")[2] for job in history.names(chosen.stack.key)} | {*store.names()}
    known |= {*chosen.stack.databases, *chosen.stack.settings.redis}
    if unknown := set(services or ()) - known:
        msg = f"nothing is known of {min(unknown)}; there are {', '.join(sorted(known)) or 'none yet'}"
        raise SettingsError(msg)
    return services or sorted(known)


def _entries(chosen: Context, store: Store, name: str) -> list[dict[str, Any]]:
    runs = [*_runs(chosen.stack.key, name)]
    spans = {kind: [(run["from"], run["to"]) for run in runs if run["kind"] == kind] for kind in (BACKUP, DRILL)}
    made = [
        entry
        for entry in (*_backups(store, name), *_drills(store, name))
        if not any(first - CLOSE <= entry["from"] <= last for first, last in spans[entry["kind"]])
    ]
    every = sorted([*runs, *made], key=lambda entry: entry["from"], reverse=True)
    return [_told(entry) for entry in every]


def _runs(key: str, name: str) -> Iterator[dict[str, Any]]:
    for job in (jobs.backup_of(name), jobs.drill_of(name)):
        for run in history.read(key, job):
            entry = {"service": name, "kind": run.kind, "by": "agent", "from": run.begun, "to": run.ended}
            yield entry | {"seconds": run.seconds, "error": run.error}


def _backups(store: Store, name: str) -> Iterator[dict[str, Any]]:
    for backup in store.all(name):
        if fault := backup.fault:
            begun = backup.begun.timestamp()
            yield {
                "service": name,
                "kind": BACKUP,
                "by": "",
                "from": begun,
                "to": begun,
                "seconds": 0.0,
                "error": fault,
            }
            continue
        made = backup.manifest
        by = "schedule" if made.reason == SCHEDULED else made.reason
        begun, ended = made.begun.timestamp(), made.ended.timestamp()
        times = {"from": begun, "to": ended, "seconds": ended - begun}
        yield {"service": name, "kind": BACKUP, "by": by, **times, "error": ""}


def _drills(store: Store, name: str) -> Iterator[dict[str, Any]]:
    for path in sorted((store.directory / name / evidence.FOLDER).glob("[0-9]*.json")):
        try:
            done = evidence.read(path)
        except BackupError:
            continue  # `backup drill` says so
        begun, ended = done.begun.timestamp(), done.ended.timestamp()
        times = {"from": begun, "to": ended, "seconds": ended - begun}
        yield {"service": name, "kind": DRILL, "by": "manual", **times, "error": "; ".join(done.differences[:1])}


def _told(entry: dict[str, Any]) -> dict[str, Any]:
    times = {
        name: datetime.fromtimestamp(entry[key], UTC).isoformat() for name, key in (("begun", "from"), ("ended", "to"))
    }
    return (
        {key: entry[key] for key in ("service", "kind", "by")}
        | times
        | {"seconds": round(entry["seconds"], 3), "error": entry["error"]}
    )


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    begun = datetime.fromisoformat(entry["begun"])
    return (
        entry["service"],
        entry["kind"],
        entry["by"],
        f"{begun:%Y-%m-%d %H:%M:%S}",
        f"{entry['seconds']:.1f}",
        entry["error"],
    )
