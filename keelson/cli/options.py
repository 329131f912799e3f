"""Options and arguments that many commands take; what completes them is imported when the shell asks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Annotated, cast

import typer

Completion = Callable[[typer.Context, str], list[str]]


def _completed_by(function: str) -> Completion:
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        module = importlib.import_module("keelson.cli.completion")
        return cast("Completion", getattr(module, function))(ctx, incomplete)

    return complete


StackOption = Annotated[
    str | None,
    typer.Option(
        "--stack",
        "-s",
        envvar="KEELSON_STACK",
        help="The stack; by default the one that is selected.",
        autocompletion=_completed_by("complete_stack"),
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ServiceArgument = Annotated[
    str,
    typer.Argument(help="A service's database, for example auth.", autocompletion=_completed_by("complete_service")),
]
OptionalService = Annotated[
    str | None,
    typer.Argument(help="A service's database, for example auth.", autocompletion=_completed_by("complete_service")),
]
OptionalServer = Annotated[
    str | None,
    typer.Argument(help="A PostgreSQL server, such as main.", autocompletion=_completed_by("complete_server")),
]
