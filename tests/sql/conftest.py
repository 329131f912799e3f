from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psycopg
import pytest

from tests.sql import project


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
