from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from keelson.migrations import scratch
from keelson.migrations.scratch import Origin, ScratchDatabase

RICH = Path(__file__).with_name("rich.sql").read_text(encoding="utf-8")


@pytest.fixture(scope="package")
def origin() -> Iterator[ScratchDatabase]:
    """A database of a service with something of everything, of which tests make copies."""
    with scratch.private() as server:
        made = server.make(Origin(service="snapped"))
        with made.as_migrator() as connection:
            connection.execute("SET ROLE snapped_owner")
            connection.execute(RICH)
        yield made


@pytest.fixture
def connection(origin: ScratchDatabase) -> Iterator[psycopg.Connection]:
    """The administrator's, whose changes do not stay."""
    with origin.as_admin() as opened, opened.transaction(force_rollback=True):
        yield opened
