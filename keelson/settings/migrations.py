"""Where a database's migrations lie and how they are read, where that is not Keelson's own folder."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from keelson.settings.model import Settings

FormatName = Literal["keelson", "flyway", "golang-migrate", "goose", "dbmate", "tern", "prisma", "diesel", "alembic"]


def _relative(path: str) -> str:
    if not path or PurePosixPath(path).is_absolute():
        msg = "must be a path relative to the database's folder, so that it is the same on every machine"
        raise ValueError(msg)
    return path


def _words(value: object) -> object:
    return value.split() if isinstance(value, str) else value


class MigrationSettings(Settings):
    """What database.yaml says under `migrations`."""

    directory: Annotated[str, AfterValidator(_relative)] = "migrations"
    format: FormatName | None = None  # None: as the names in the directory say
    out_of_order: bool = False
    placeholders: dict[str, str] = Field(default_factory=dict)  # of Flyway's files; they stand in the state in clear
    program: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()  # of Alembic
