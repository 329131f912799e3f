"""What the shell offers where a service, part, stack or report is expected; a project that cannot be read offers nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer
import yaml

from keelson import reports
from keelson.errors import KeelsonError
from keelson.project import find_project
from keelson.settings.stack import SQL_DIRECTORY

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
    return _services()


@_quietly
def complete_stack(_ctx: typer.Context) -> Iterable[str]:
    """Offer the stacks that have a file."""
    return find_project().stack_names()


@_quietly
def complete_part(ctx: typer.Context) -> Iterable[str]:
    """Offer the parts of the stack."""
    settings = find_project().stack(ctx.params.get("stack") or "dev").settings
    taken = ctx.params.get("parts") or ()
    named = [*settings.servers, *settings.redis]
    named += [name for name, part in (("pgadmin", settings.pgadmin), ("agent", settings.agent)) if part.enabled]
    return [name for name in named if name not in taken]


@_quietly
def complete_report(_ctx: typer.Context) -> Iterable[str]:
    """Offer the built-in reports, and every service's queries and checks."""
    root = find_project().root / SQL_DIRECTORY
    own = (each.name for service in _services() for each in reports.of_service(service, root / service))
    return [*(each.name for each in reports.built_in()), *dict.fromkeys(own)]


def _services() -> list[str]:
    folder = find_project().root / SQL_DIRECTORY
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
