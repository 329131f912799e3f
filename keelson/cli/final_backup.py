"""The last backups of a protected stack, made and read back before anything of it is taken away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keelson.backups.making import BEFORE_DESTROY, Source
from keelson.cli.context import Context
from keelson.cli.output import complain, say
from keelson.cli.progress import working
from keelson.endpoint import Reference
from keelson.errors import BackupError, KeelsonError
from keelson.target import target

JOB = "dynamic/keelson:BackupJob::"


def make_final_backups(chosen: Context) -> None:
    """Back up each database and Redis that the stack has, and say where the backups lie; each is tried, whatever became of others.

    Raises:
        BackupError: one could not be made, so nothing may be taken away.
    """
    failed = []
    for inputs in _jobs(chosen.engine.resources()):
        source = Source(inputs["engine"], Reference(**inputs["reference"]))
        directory = Path(inputs["directory"]) if inputs.get("directory") else None
        try:
            with working(f"backing up {source.name} before it is destroyed"):
                made = target(source.reference.target).back_up(source, BEFORE_DESTROY, directory)
        except KeelsonError as fault:
            complain(f"{source.name}: {fault}")
            failed.append(source.name)
        else:
            say(f"{source.name}: backed up to {made} and read back, before it is destroyed")
    if failed:
        msg = (
            f"stack {chosen.stack_name} stays as it is: there is no last backup of {', '.join(failed)}; "
            "`keelson start` brings up what is down; --without-backup destroys without"
        )
        raise BackupError(msg)


def _jobs(resources: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what the state knows of the jobs that back up the stack: of databases and Redis that were made, and those alone."""
    return [each["inputs"] for each in resources if JOB in str(each.get("urn", "")) and each.get("id")]
