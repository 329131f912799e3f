from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.daemon import docker_host, pytest_unconfigure  # noqa: F401 - offered to all tests
from tests.fixtures import admin, database, server, service  # noqa: F401 - offered to all tests
from tests.stack.harness import CHECKOUT, StackUnderTest

# A shell that runs the tests in the background makes them ignore Ctrl-C, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

SERVERS = {"main": {}, "timescale": {"timescaledb": True}}
WHOLE = {"servers": SERVERS, "redis": {"redis": {}}, "pgadmin": {"enabled": True}, "agent": {"enabled": True}}


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackUnderTest]:
    """The project's own stack with its ten databases, up."""
    made = StackUnderTest(tmp_path_factory.mktemp("ten"), settings={"servers": SERVERS})
    (made.root / "sql").rmdir()
    shutil.copytree(CHECKOUT / "sql", made.root / "sql")
    try:
        made.keelson("up")
        yield made
    finally:
        made.end()


@pytest.fixture(scope="session")
def stack_databases(ten: StackUnderTest) -> Callable[[str], psycopg.Connection]:
    """Connect to one of the ten databases as the administrator."""

    def connect(name: str) -> psycopg.Connection:
        return ten.connect(name, "admin")

    return connect
