"""Write the next migration of a service, from a template."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from keelson import migrations
from keelson.cli.output import say
from keelson.errors import SettingsError
from keelson.migrations.files import UNDO_SUFFIX, relative
from keelson.migrations.parts import Part
from keelson.project import find_project
from keelson.settings.database import read_database
from keelson.settings.stack import SQL_DIRECTORY

TEMPLATE = "template.sql"  # in the service's folder, else in sql/
_NO_TRANSACTION = "-- keelson: no-transaction\n"
_USUAL = """\
-- Description: {{description}}
--
-- Where a statement cannot run in a transaction, as CREATE INDEX CONCURRENTLY, take the first dashes of the next line away:
-- -- keelson: no-transaction
-- Where the linter warns of what is right here, say why in a line such as this before the statement (docs/lint.md):
-- -- keelson: allow RULE: reason

"""
_USUAL_OUTSIDE = "-- Description: {{description}}\n" + _NO_TRANSACTION + "\n"
_USUAL_UNDO = "-- Undo: {{description}}\n"


def new(
    service: Annotated[str, typer.Argument(help="A service, for example auth.")],
    description: Annotated[str, typer.Argument(help="What it does, in a few words.")],
    *,
    no_transaction: Annotated[
        bool, typer.Option("--no-transaction", help="For statements that cannot run in a transaction.")
    ] = False,
    no_undo: Annotated[bool, typer.Option("--no-undo", help="Write no undo beside it.")] = False,
) -> None:
    """Write an empty migration and its undo, with the next number, from sql/SERVICE/template.sql or sql/template.sql.

    Example: keelson migrate new auth "add phone to users"

    Example: keelson migrate new auth "index users by phone" --no-transaction --no-undo
    """
    project = find_project()
    database = Path(SQL_DIRECTORY) / service
    if not (project.root / database).is_dir():
        msg = f"there is no {database}; `keelson service add {service}` makes a service"
        raise SettingsError(msg)
    location = migrations.location_in(database, read_database(project.root / database, project.root).migrations)
    if (name := location.format_in(project.root)) != migrations.OWN_FORMAT:
        msg = f"{location.directory} holds files of {name}; make the next one as you do with {name}"
        raise SettingsError(msg)
    folder, files = project.root / location.directory, location.read(project.root)
    number = max((file.version or 0 for file in files), default=0) + 1
    name = f"{number:03d}_{_words(description)}"
    values = {"description": " ".join(description.split()), "service": service, "number": f"{number:03d}"}
    texts = {".sql": _text(project.root / database, project.root, outside=no_transaction)}
    if not no_undo:
        texts[UNDO_SUFFIX] = _template(project.root / database, project.root, UNDO_SUFFIX) or _USUAL_UNDO
    for suffix, text in texts.items():
        path = folder / f"{name}{suffix}"
        path.write_text(_filled(text, values), encoding="utf-8")
        say(f"made {path.relative_to(project.root)}")


def _words(description: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", description.lower()).strip("_")
    if not words:
        msg = f"the description {description!r} has no letter or digit to name a file by; say what the migration does"
        raise SettingsError(msg)
    return words


def _text(service: Path, root: Path, *, outside: bool) -> str:
    found = _template(service, root, ".sql")
    if found is None:
        return _USUAL_OUTSIDE if outside else _USUAL
    return _NO_TRANSACTION + found if outside and _NO_TRANSACTION not in found else found


def _template(service: Path, root: Path, suffix: str) -> str | None:
    """Return the template for files of this ending: the service's own, else the project's; None where there is none."""
    for folder in (service, service.parent):
        path = folder / TEMPLATE.replace(".sql", suffix)
        if path.is_file():
            return Part(path, relative(path, root)).text()
    return None


def _filled(text: str, values: dict[str, str]) -> str:
    """Put values in place of their names in double braces, which no SQL has."""
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text
