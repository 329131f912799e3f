"""One database with what its privacy.yaml says, and what its catalog says about that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

import psycopg
from psycopg import sql

from keelson.errors import PrivacyError
from keelson.postgres.belonging import Belonging
from keelson.privacy.catalog import Catalog, read_catalog
from keelson.settings.privacy import PersonalTable, PrivacyDefinition


@dataclass(frozen=True)
class Subject:
    """One database that holds rows of persons.

    Attributes:
        name: The service's name.
        definition: What its privacy.yaml says.
        connect: Opens a connection, in autocommit.
        owner: The role that sees all rows and may change them; None for the login itself.
        source: The file that says it, for messages.
    """

    name: str
    definition: PrivacyDefinition
    connect: Callable[[], psycopg.Connection]
    owner: str | None = None
    source: str = "privacy.yaml"

    @cached_property
    def tables(self) -> Mapping[str, PersonalTable]:
        """The tables by their full names."""
        return self.definition.by_label()

    @cached_property
    def belonging(self) -> Belonging:
        """Whose the rows are."""
        return self.definition.belonging(self.source)

    @contextmanager
    def opened(self) -> Iterator[psycopg.Connection]:
        """Connect and act as the owner for the block; raises UnreachableError."""
        with self.connect() as connection:
            if self.owner:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.owner)))
            yield connection

    def order(self, catalog: Catalog) -> list[str]:
        """Return the tables, each before those that its rows refer to or are found by.

        Raises:
            PrivacyError: tables refer to each other in a circle.
        """
        before: dict[str, set[str]] = {table: set() for table in self.tables}
        for child, parent in self._pairs(catalog):
            before[parent].add(child)
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError as fault:
            msg = f"{self.source}: {' and '.join(fault.args[1][:-1])} refer to each other, so none can be erased first; let one of them be anonymised"
            raise PrivacyError(msg) from None

    def _pairs(self, catalog: Catalog) -> Iterator[tuple[str, str]]:
        for table, ways in self.belonging.ways.items():
            yield from ((table, way.table) for way in ways if way.table)
        for key in catalog.foreign_keys:
            both_go = self.tables.keys() >= {key.child, key.parent} and key.child != key.parent
            if both_go and self.tables[key.child].erase == "delete" == self.tables[key.parent].erase:
                yield key.child, key.parent


def refuse_faults(subjects: Sequence[tuple[Subject, psycopg.Connection]]) -> None:
    """Check that each privacy.yaml fits its database; raises PrivacyError."""
    from keelson.privacy.check import faults  # noqa: PLC0415 - which needs this module

    for subject, connection in subjects:
        for fault in faults(read_catalog(connection), subject):
            msg = f"{subject.name}: {fault} (`keelson privacy check` lists all)"
            raise PrivacyError(msg)
