"""Add a service to the product."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keelson.cli.output import say
from keelson.errors import SettingsError
from keelson.postgres.names import validate_service_name
from keelson.project import find_project
from keelson.settings.stack import SQL_DIRECTORY

_DEFINITION = """\
description: {name}
server: {server}
# extensions: [citext]
# seeds: {{demo: [reference, dev]}}
"""
_FIRST_MIGRATION = """\
-- Description: Initial schema
CREATE TABLE example (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""
_FIRST_UNDO = "DROP TABLE example;\n"


def add(
    name: Annotated[str, typer.Argument(help="At most 40 of a-z, 0-9 and _, starting with a letter.")],
    server: Annotated[str, typer.Option(help="The server that holds its database.")] = "main",
) -> None:
    """Add a service: a folder with its description and first migration.

    Example: keelson service add billing
    """
    validate_service_name(name)
    project = find_project()
    folder = project.root / SQL_DIRECTORY / name
    if folder.exists():
        msg = f"{SQL_DIRECTORY}/{name} exists already; choose another name, or edit it"
        raise SettingsError(msg)
    _write(folder, name, server)
    say(f"made {SQL_DIRECTORY}/{name}; edit its first migration, then run `keelson up`")
    for stack in project.stack_names():
        if project.stack(stack).settings.databases is not None:
            say(f"Pulumi.{stack}.yaml lists its databases: add {name} to keelson:databases there")


def _write(folder: Path, name: str, server: str) -> None:
    for path, text in {
        "database.yaml": _DEFINITION.format(name=name, server=server),
        "migrations/001_initial_schema.sql": _FIRST_MIGRATION,
        "migrations/001_initial_schema.down.sql": _FIRST_UNDO,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
