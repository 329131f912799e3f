"""What the shell offers where a service, part, stack or report is expected; a project that cannot be read offers nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer
import yaml

from keelson import reports
from keelson.errors import KeelsonError
from keelson.project import find_project
from keelson.settings.stack import SQL_DIRECTORY, database_folders

Completion = Callable[[typer.Context, str], list[str]]


def _quietly(names: Callable[[typer.Context], Iterable[str]]) -> Completion:
    """Typer reads the signature of what it calls, so the inner function keeps its own."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return [name for name in names(ctx) if name.startswith(incomplete)]
        except (KeelsonError, OSError, ValueError, yaml.YAMLError):
            return []

    return complete


@_quietly
def complete_service(_ctx: typer.Context) -> Iterable[str]:
    """Offer the services: the folders below sql/."""
    return database_folders(find_project().root)


@_quietly
def complete_stack(_ctx: typer.Context) -> Iterable[str]:
    """Offer the stacks that have a file."""
    return find_project().stack_names()


@_quietly
def complete_part(ctx: typer.Context) -> Iterable[str]:
    """Offer the parts of the stack."""
    settings = find_project().stack(ctx.params.get("stack") or "dev").settings
    taken = ctx.params.get("parts") or ()
    return [name for name in settings.parts if name not in taken]


@_quietly
def complete_server(ctx: typer.Context) -> Iterable[str]:
    """Offer the PostgreSQL servers of the stack."""
    return find_project().stack(ctx.params.get("stack") or "dev").settings.servers


@_quietly
def complete_report(_ctx: typer.Context) -> Iterable[str]:
    """Offer the built-in reports, and every service's queries and checks."""
    root = find_project().root
    own = (
        each.name
        for service in database_folders(root)
        for each in reports.of_service(service, root / SQL_DIRECTORY / service)
    )
    return [*(each.name for each in reports.built_in()), *dict.fromkeys(own)]
