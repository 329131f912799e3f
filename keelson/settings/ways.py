"""Whose a row is, as settings say it for each table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from keelson.postgres.belonging import Belonging, Way, table_label


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _readable(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        Way.read(text)
    return texts


TableName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?$")]
Ways = Annotated[tuple[str, ...], BeforeValidator(_list), Field(min_length=1), AfterValidator(_readable)]


def belonging(ways: Mapping[str, Sequence[str]], source: str) -> Belonging:
    """Return whose the rows are; raises SettingsError where a way leads nowhere."""
    return Belonging({table_label(table): [Way.read(text) for text in texts] for table, texts in ways.items()}, source)
