"""The server crashes in the midst of files that are sent together: what was there for certain is there, and nothing half."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from keelson.errors import MigrationError
from keelson.postgres.databases import drop_database
from tests import servers
from tests.migrations.project import Project
from tests.services import Service

FILES = 300
TOGETHER = 64  # files of one message, whose last commit waits for the disk
DURABLE = servers.PARAMETERS | {
    "wal_level": "replica",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "log_statement": "none",
}


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[servers.Instance]:
    with servers.instance(tmp_path, DURABLE) as made:
        yield made


@pytest.fixture
def own(durable: servers.Instance, tmp_path: Path) -> Project:
    directory = tmp_path / "migrations"
    directory.mkdir()
    for number in range(1, FILES + 1):
        (directory / f"{number:03d}.sql").write_text(
            f"CREATE TABLE t{number} (a int);\nINSERT INTO t{number} VALUES (1);"
        )
    service = Service(durable.server, "crashing")
    service.make()
    return Project(service, directory)


def check(project: Project, at_least: int) -> int:
    """Check that the ledger is what the schema has; return how many files that is."""
    versions = [number for (number,) in project.query("SELECT version FROM schema_versions ORDER BY version")]
    assert versions == list(range(1, len(versions) + 1))
    assert project.tables() == {f"t{number}" for number in versions}
    assert len(versions) >= at_least
    return len(versions)


@pytest.mark.parametrize("times", [1, pytest.param(30, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_a_crash_among_files_that_are_sent_together(durable: servers.Instance, own: Project, times: int) -> None:
    chance = random.Random(42)
    for _ in range(times):
        crash_at = chance.randrange(2, FILES)

        def tell(line: str, crash_at: int = crash_at) -> None:
            if f"({crash_at} of {FILES})" in line:
                durable.kill()

        certain = (crash_at - 1) // TOGETHER * TOGETHER
        with suppress(MigrationError):
            certain = len(own.apply(on_progress=tell))  # where the server was through before it was killed
        durable.start()
        check(own, certain)
        assert len(own.apply()) == FILES
        durable.kill()  # at once: all that was said to be done is on disk
        durable.start()
        assert check(own, FILES) == FILES
        with durable.server.connect() as admin:
            drop_database(admin, own.service.stack_id, own.service.name)
        own.service.ensure_database()


def test_a_standby_says_where_to_go(durable: servers.Instance, own: Project) -> None:
    own.apply()
    durable.kill()
    (durable.data / "pg" / "standby.signal").touch()
    durable.start()
    assert len(own.apply()) == FILES, "nothing to do is fine"
    own.write(_999="CREATE TABLE last ()")
    message = own.refused()
    assert "999.sql" in message
    assert message.endswith("give the address of the server that takes writes, or make the database writable")
