"""Fixtures of a real server; tests/conftest.py offers them to all tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from keelson.migrations import scratch
from keelson.postgres.databases import drop_database
from keelson.postgres.roles import drop_roles
from tests import servers
from tests.services import Service

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A throw-away PostgreSQL with TimescaleDB, one for each worker."""
    with servers.running(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def admin(server: servers.Server) -> Iterator[psycopg.Connection]:
    """The administrator's connection to the maintenance database."""
    with server.connect() as connection:
        yield connection


@pytest.fixture
def service(server: servers.Server) -> Iterator[Service]:
    """A service with a name of its own, of which nothing exists yet; what a test makes of it is dropped."""
    made = Service(server, f"svc{next(_NUMBERS)}")
    yield made
    with server.connect() as connection:
        drop_database(connection, made.stack_id, made.name)
        drop_roles(connection, made.stack_id, made.name)


@pytest.fixture
def database(service: Service) -> Service:
    """A service whose roles and empty database exist, closed to its application."""
    service.make()
    return service


@pytest.fixture(scope="session")
def scratch_server() -> Iterator[scratch.Scratch]:
    """A private server to try migrations on, one for each worker."""
    with scratch.private() as made:
        yield made
