"""A database with a directory of migrations of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from keelson import migrations
from keelson.errors import MigrationError
from tests.patience import deadline
from tests.services import PASSWORD, Service

RUNNER = """
import sys
from pathlib import Path
from keelson import migrations
from keelson.postgres.connection import connect
connection = connect(sys.stdin.readline().strip(), application_name="runner")
migrations.apply(connection, migrations.read_directory(Path(sys.argv[1])), owner=sys.argv[2])
"""


class Project:
    """A database and its directory of migrations."""

    def __init__(self, service: Service, directory: Path) -> None:
        self.service, self.directory = service, directory

    def write(self, **files: str) -> Project:
        for name, text in files.items():
            self.path(name).write_text(text, encoding="utf-8")
        return self

    def path(self, name: str) -> Path:
        return self.directory / f"{name.removeprefix('_')}.sql"

    def files(self) -> tuple[migrations.MigrationFile, ...]:
        return migrations.read_directory(self.directory, self.directory.parent)

    def apply(self, **options: object) -> dict[str, str]:
        with self.service.as_migrator() as connection:
            return migrations.apply(connection, self.files(), owner=self.service.roles.owner, **options)

    def refused(self) -> str:
        with pytest.raises(MigrationError) as caught:
            self.apply()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def refused_on(self, connection: psycopg.Connection, tell: Callable[[str], None]) -> str:
        with pytest.raises(MigrationError) as caught:
            migrations.apply(connection, self.files(), owner=self.service.roles.owner, on_progress=tell)
        return str(caught.value)

    def refused_to_read(self) -> str:
        with pytest.raises(MigrationError) as caught:
            self.files()
        return str(caught.value)

    def started(self) -> subprocess.Popen[str]:
        """Apply in a process of its own, which the test ends."""
        roles = self.service.roles
        parameters = self.service.server.parameters(self.service.name, roles.migrator, PASSWORD)
        command = [sys.executable, "-c", RUNNER, str(self.directory), roles.owner]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment)
        assert process.stdin
        with process.stdin as stdin:
            stdin.write(psycopg.conninfo.make_conninfo(**parameters) + "\n")
        return process

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with self.service.as_admin() as admin:
            return admin.execute(statement).fetchall()

    def tables(self) -> set[str]:
        query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        return {str(row[0]) for row in self.query(query)} - {
            "schema_versions",
            "schema_seeds",
            "schema_steps",
            "schema_history",
        }


def until(condition: Callable[[], bool], seconds: float = 10) -> float:
    """Wait for a condition; return how long it took."""
    start, until = time.monotonic(), deadline(seconds)
    while not condition():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.02)
    return time.monotonic() - start
