"""One database as its files describe it, whether or not it is anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from keelson import timescale
from keelson.migrations.files import MigrationFile
from keelson.migrations.scratch import Origin, Scratch, ScratchDatabase
from keelson.postgres.databases import grant_schemas, open_access
from keelson.postgres.snapshot import Snapshot, read


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A database's files.

    Attributes:
        name: What messages call it.
        origin: What it is before its first migration.
        files: All its migrations, in order.
        policies: Its timescale.yaml, where it has one.
        out_of_order: Whether files are applied that come before one that is applied.
    """

    name: str
    origin: Origin
    files: tuple[MigrationFile, ...]
    policies: timescale.Definition | None = None
    out_of_order: bool = False

    def make(self, server: Scratch, files: Sequence[MigrationFile]) -> ScratchDatabase:
        """Make a scratch database with some of the files applied.

        Raises:
            MigrationError: a file fails.
        """
        database = server.make(self.origin)
        database.replay(files)
        return database

    def finish(self, database: ScratchDatabase) -> None:
        """Do to a scratch database what an `up` does after its migrations: policies, grants, access.

        Raises:
            MigrationError: what timescale.yaml declares cannot be made.
        """
        service = self.origin.service
        if self.policies:
            with database.as_migrator() as connection:
                timescale.apply_policies(connection, self.policies, owner=self.origin.owner)
                if service:
                    grant_schemas(connection, service)
        if service:
            with database.as_admin() as admin:
                open_access(admin, service, self.origin.logins, bounds=self.origin.bounds, database=database.name)

    def look(self, connection: psycopg.Connection, server: Scratch | None = None) -> Snapshot:
        """Return the catalog of one of the subject's databases, with all that can be compared with another's.

        A plain database's rights to connect, and its login's attributes, are nobody's that a migration makes.
        """
        renamed = {server.login: self.origin.user} if server and server.login and not self.origin.service else {}
        found = read(connection, roles=self.origin.role_names, renamed=renamed)
        return found if self.origin.service else found.without(kinds=("database",))

    def look_at(self, database: ScratchDatabase) -> Snapshot:
        """Return the catalog of a scratch database of the subject."""
        with database.as_admin() as connection:
            return self.look(connection, database.server)
