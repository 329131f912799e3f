"""timescale.yaml: what TimescaleDB's edition decides, and so stands in no migration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from keelson.errors import MigrationError
from keelson.migrations.files import relative
from keelson.migrations.parts import Part
from keelson.migrations.statements import analyse, split
from keelson.settings.document import parse_mapping
from keelson.settings.model import Settings

Interval = Annotated[str, Field(pattern=r"^[1-9][0-9]* (minute|hour|day|week|month|year)s?$")]
Table = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$")]  # with its schema
Column = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
OrderedColumn = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*( (ASC|DESC))?( NULLS (FIRST|LAST))?$")]


class Compression(Settings):
    """How chunks are compressed, and when they are old enough."""

    after: Interval
    segment_by: tuple[Column, ...] = ()
    order_by: tuple[OrderedColumn, ...] = ()


class Retention(Settings):
    """When chunks are dropped."""

    after: Interval


class Hypertable(Settings):
    """What happens to the chunks of one hypertable."""

    compression: Compression | None = None
    retention: Retention | None = None


class Refresh(Settings):
    """Which part of an aggregate is computed anew, and how often."""

    start_offset: Interval
    end_offset: Interval
    every: Interval


class Aggregate(Settings):
    """A continuous aggregate; `unique` are the columns that identify one of its rows."""

    query: str
    refresh: Refresh
    unique: Annotated[tuple[Column, ...], Field(min_length=1)]


class _File(Settings):
    hypertables: dict[Table, Hypertable] = Field(default_factory=dict)
    aggregates: dict[Table, Aggregate] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definition:
    """What one timescale.yaml declares; names are `schema.table`, `source` is for messages."""

    source: str
    hypertables: dict[str, Hypertable]
    aggregates: dict[str, Aggregate]


def read_definition(path: Path, root: Path | None = None) -> Definition:
    """Return what timescale.yaml says.

    Raises:
        SettingsError: it is no YAML, or a key is unknown, missing or wrong.
        MigrationError: it cannot be read, or a query is not one SELECT.
    """
    source = relative(path, root)
    file = _File.read(parse_mapping(Part(path, source).text(), source), source)
    for name, aggregate in file.aggregates.items():
        where = f"{source}: aggregates.{name}.query"
        kinds = [analyse(statement, where).kind for statement in split(aggregate.query, where)]
        if kinds != ["select_stmt"]:
            msg = f"{where} must be one SELECT; correct it"
            raise MigrationError(msg)
    return Definition(source, file.hypertables, file.aggregates)
