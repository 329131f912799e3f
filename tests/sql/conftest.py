from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psycopg
import pytest

from tests.sql import project


@pytest.fixture(scope="session")
def stack_databases(stack_databases: Callable[[str], psycopg.Connection]) -> Callable[[str], psycopg.Connection]:
    """Connect as the stack does, but ask it for the address of each database once: asking takes a program's start."""

    @functools.cache
    def address(database: str) -> dict[str, str]:
        with stack_databases(database) as opened:
            return {**opened.info.get_parameters(), "password": opened.info.password}

    return lambda database: psycopg.connect(**address(database), autocommit=True)


@pytest.fixture
def connection(database: str, stack_databases: Callable[[str], psycopg.Connection]) -> Iterator[psycopg.Connection]:
    """The administrator's connection to the test's parameter `database`."""
    with stack_databases(database) as opened:
        yield opened


@pytest.fixture
def acting(
    stack_databases: Callable[[str], psycopg.Connection],
) -> Callable[[str, str], AbstractContextManager[psycopg.Connection]]:
    """Act in a database as one of its service's roles; nothing of it stays."""
    return lambda database, role: project.undone(stack_databases(database), f"{database}_{role}")
