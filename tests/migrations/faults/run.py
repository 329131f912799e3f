"""A run of migrations of each kind, what a fault in it may leave, and what has to be there after the retry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from keelson import migrations
from keelson.errors import KeelsonError
from keelson.postgres.connection import connect
from tests.migrations.faults.proxy import Proxy
from tests.migrations.project import Project, until
from tests.services import PASSWORD

APPLICATION = "a runner under test"
FILES = {
    "_001_plain": "CREATE TABLE one (a int);\nINSERT INTO one VALUES (1);",
    "_002_plain": "CREATE TABLE two (a int);\nINSERT INTO two VALUES (1);",
    "_003_rows": "CREATE TABLE three (a int);\nCOPY three FROM stdin;\n1\n2\n\\.\nSELECT count(*) FROM three;",
    "_004_index": "-- keelson: no-transaction\nCREATE INDEX CONCURRENTLY three_a ON three (a);\n"
    "INSERT INTO three VALUES (3);\nDO $$ BEGIN INSERT INTO three VALUES (4); END $$;",
}
_LEDGER = "SELECT file FROM public.schema_versions ORDER BY version"
_LEFT = f"""
    SELECT 'session', state FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{APPLICATION}'
    UNION ALL
    SELECT 'lock', locktype FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

_RUNNER = """
import sys
from pathlib import Path
from keelson import migrations
from keelson.errors import KeelsonError
from keelson.postgres.connection import connect
try:
    with connect(sys.stdin.readline().strip(), application_name=sys.argv[3]) as connection:
        migrations.apply(connection, migrations.read_directory(Path(sys.argv[1])), owner=sys.argv[2])
except KeelsonError as fault:
    sys.exit(str(fault))
"""


class Run:
    """One database in which the files run again and again."""

    def __init__(self, project: Project, admin: psycopg.Connection) -> None:
        self._project, self._admin = project.write(**FILES), admin
        self._files = project.files()

    def messages(self) -> int:
        """Return how many messages an undisturbed run has."""
        with Proxy(self._project.service.server.port) as proxy:
            assert self.attempt(proxy.port) == ""
        self.finish()
        return proxy.messages

    def attempt(self, port: int) -> str:
        """Run through a port; return the sentence of the fault that ended it."""
        message = ""
        try:
            with connect(self._parameters(port), application_name=APPLICATION) as connection:
                migrations.apply(connection, self._files, owner=self._project.service.roles.owner)
        except KeelsonError as fault:
            message = str(fault)
        assert "\n" not in message
        return message

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[str]]:
        """Start a process that runs when `send_off` names a port; it ends with the block."""
        command = [
            sys.executable,
            "-c",
            _RUNNER,
            str(self._project.directory),
            self._project.service.roles.owner,
            APPLICATION,
        ]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def send_off(self, process: subprocess.Popen[str], port: int) -> None:
        """Let a process run through a port."""
        assert process.stdin
        with process.stdin as stdin:
            stdin.write(psycopg.conninfo.make_conninfo(**self._parameters(port)) + "\n")

    def finish(self) -> None:
        """Look at what a fault left, run to the end, look at that, and empty the database."""
        self._wait_until_left()
        self._check_what_is_left()
        assert self.attempt(self._project.service.server.port) == ""
        self._wait_until_left()
        self.check_end()
        self._empty()

    def check_end(self) -> None:
        """Check that each file had one effect, and that nothing else is there."""
        query = self._query
        assert [file for (file,) in query(_LEDGER)] == [file.name for file in self._files]
        assert self._rows() == {"one": [1], "two": [1], "three": [1, 2, 3, 4]}
        assert query(
            "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'three'::regclass"
        ) == [("three_a", True)]
        assert query("SELECT count(*) FROM schema_steps") == [(0,)]

    def _wait_until_left(self) -> None:
        until(lambda: not self._query(_LEFT))

    def _check_what_is_left(self) -> None:
        """Check that the ledger has exactly the files that had their effect."""
        has_ledger = self._query("SELECT to_regclass('schema_versions') IS NOT NULL") == [(True,)]
        done = [str(file) for (file,) in self._query(_LEDGER)] if has_ledger else []
        names = [file.name for file in self._files]
        assert done == names[: len(done)]
        rows = self._rows()
        for place, table in enumerate(["one", "two", "three"]):
            assert (names[place] in done) == (table in rows)
        assert rows.get("one", [1]) == rows.get("two", [1]) == [1]
        assert rows.get("three", [1, 2])[:2] == [1, 2]

    def _rows(self) -> dict[str, list[object]]:
        tables = self._tables()
        return {table: [row for (row,) in self._query(f"SELECT a FROM {table} ORDER BY a")] for table in sorted(tables)}

    def _tables(self) -> set[str]:
        query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname !~ '^schema_'"
        return {str(table) for (table,) in self._query(query)}

    def _empty(self) -> None:
        self._admin.execute("DROP TABLE one, two, three, schema_versions, schema_steps, schema_history")

    def _query(self, statement: str) -> list[tuple[object, ...]]:
        return self._admin.execute(statement).fetchall()

    def _parameters(self, port: int) -> dict[str, str]:
        service = self._project.service
        found = service.server.parameters(service.name, service.roles.migrator, PASSWORD)
        return found | {"port": str(port), "sslmode": "disable", "gssencmode": "disable"}
