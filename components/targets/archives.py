"""The archive of a server, from which it is restored as it was at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi import Output, ResourceOptions

from keelson.backups.drills.checks import read_checks
from keelson.backups.physical.archiving import PASSPHRASE
from keelson.endpoint import Reference
from keelson.settings import point_in_time
from keelson.settings.stack import Stack
from providers.archive_job import ArchiveJob


def is_archived(stack: Stack, server: str) -> bool:
    """Say whether a server keeps an archive."""
    return point_in_time.is_archived(stack.settings, server)


def inputs(stack: Stack, server: str) -> dict[str, Any]:
    """Return what the server itself is told; nothing where it keeps no archive."""
    if not is_archived(stack, server):
        return {}
    secret = stack.settings.point_in_time.passphrase
    chosen = {"passphrase": Output.secret(secret.get_secret_value())} if secret else {}
    return {"archiving": _archiving(stack), **chosen}


def archived(stack: Stack) -> tuple[str, ...]:
    """Return the servers that keep an archive."""
    return tuple(name for name in stack.settings.servers if is_archived(stack, name))


def of_container(stack: Stack, server: str, readers: int) -> dict[str, Any]:
    """Return what a server in a container is told, whose archive a group may read; nothing where it keeps none."""
    return (
        {"archiving": _archiving(stack) | {"directory": ""}, "readers": readers} if is_archived(stack, server) else {}
    )


def passphrase(stack: Stack, server: str) -> dict[str, str]:
    """Return the passphrase that the settings chose, as a part's password; nothing where they chose none."""
    secret = stack.settings.point_in_time.passphrase
    return {PASSPHRASE: secret.get_secret_value()} if secret and is_archived(stack, server) else {}


def archive_job(stack: Stack, server: str, opts: ResourceOptions, marks: Mapping[str, Output[str]]) -> ArchiveJob:
    """Make ArchiveJob <server>-archive: the repository, and what the agent backs up into it."""
    settings = stack.settings.point_in_time
    told = {
        "reference": Reference(stack=stack.key, target=stack.settings.place, server=server).as_input(),
        **settings.model_dump(include={"schedule", "time_zone", "full_every"}),
        **_archiving(stack),
        **_drill(stack, server),
        **marks,
    }
    return ArchiveJob(f"{server}-archive", told, opts)


def _drill(stack: Stack, server: str) -> dict[str, Any]:
    """Return when the archive is drilled, and with which checks; nothing where it is not."""
    if not (schedule := stack.settings.point_in_time.drilled):
        return {}
    named = [name for name, each in stack.databases.items() if each.server == server]
    checks = {name: read_checks(stack.root / stack.directory(name) / "checks") for name in named}
    return {"drill": schedule, "databases": checks, "kept": str(stack.settings.backup.directory or "")}


def _archiving(stack: Stack) -> dict[str, Any]:
    settings = stack.settings.point_in_time
    directory = settings.directory or stack.settings.backup.directory
    return {"directory": str(directory or ""), "keep_full": settings.keep_full, "waiting": settings.waiting_bytes}
