"""Which rows of a database are a person's and what erasing does to them, read from `sql/<database>/privacy.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from keelson.postgres.belonging import Belonging, table_label
from keelson.settings.document import read_mapping
from keelson.settings.model import Settings
from keelson.settings.ways import TableName, Ways, belonging

FILE = "privacy.yaml"
KEY = "{key}"  # in an anonymous value: the row's primary key

ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w$]*$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class PersonalTable(Settings):
    """A table that holds rows of persons.

    Attributes:
        of: How a row leads to the person's id.
        erase: What erasing does: delete rows, keep them, or write other values into columns, in which {key} is the row's key.
        because: Why rows stay; to be said where they do.
        hide: Columns that an export leaves out, such as hashes of passwords.
    """

    of: Ways
    erase: Literal["delete", "keep"] | Annotated[dict[ColumnName, str | None], Field(min_length=1)]
    because: Reason | None = None
    hide: tuple[ColumnName, ...] = ()

    @field_validator("erase", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        if not isinstance(value, dict) and value not in {"delete", "keep"}:
            msg = "write delete, keep, or the columns that get another value, such as `{name: null}`"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.erase != "delete" and not self.because:
            msg = "rows that stay need the reason, such as `because: kept for ten years by law (§ …)`"
            raise ValueError(msg)
        return self


class PrivacyDefinition(Settings):
    """What privacy.yaml says.

    Attributes:
        account: Whether persons sign in by this database; it is erased last.
        tables: Those that hold rows of persons.
        not_personal: Tables, or `table.column`, that look as if they did, with the reason why they do not.
    """

    account: bool = False
    tables: Annotated[dict[TableName, PersonalTable], Field(min_length=1)]
    not_personal: dict[str, Reason] = Field(default_factory=dict)

    def by_label(self) -> dict[str, PersonalTable]:
        """Return the tables by their full names."""
        return {table_label(name): table for name, table in self.tables.items()}

    def belonging(self, source: str) -> Belonging:
        """Return whose the rows are; raises SettingsError where a way leads nowhere."""
        return belonging({name: table.of for name, table in self.tables.items()}, source)


def read_privacy(directory: Path, root: Path) -> PrivacyDefinition | None:
    """Return what the privacy.yaml in a database's folder says, None where there is none; paths in messages begin at `root`.

    Raises:
        SettingsError: it is wrong.
    """
    path = directory / FILE
    if not path.exists():
        return None
    source = str(path.relative_to(root))
    definition = PrivacyDefinition.read(read_mapping(path, source, when_missing="write it"), source)
    definition.belonging(source)
    return definition
