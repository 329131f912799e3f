"""Long random fault runs (`make soak`)."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable

import psycopg
import pytest

from tests.conftest import SERVERS
from tests.stack.harness import CHECKOUT, StackUnderTest, wait_until
from tests.stack.test_faults import answers, kill_up_after

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

KILLS = 100
SEED = 42


def test_the_shipped_stack_survives_a_hundred_kills_of_up(make_stack: Callable[..., StackUnderTest]) -> None:
    chance = random.Random(SEED)
    stack = make_stack(servers=SERVERS)
    shutil.copytree(CHECKOUT / "sql", stack.root / "sql", dirs_exist_ok=True)
    for round_ in range(KILLS):
        kill_up_after(stack, chance.uniform(0, 10))
        if round_ % 10 == 9:
            stack.keelson("up")
            stack.keelson("destroy", "--yes")
    stack.keelson("up")
    assert stack.keelson("status").returncode == 0
    wait_until(lambda: not stack.engine_processes(), "no process of the engine is left")
    assert "to update" not in stack.keelson("up").stdout


def test_no_acknowledged_row_is_lost_over_a_hundred_kills_of_a_server(stack: StackUnderTest) -> None:
    stack.keelson("up")
    url = stack.url("notes")
    acknowledged = 0
    ended = threading.Event()

    def write() -> None:
        nonlocal acknowledged
        while not ended.is_set():
            try:
                with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
                    while not ended.is_set():
                        connection.execute("INSERT INTO notes (body) VALUES ('acknowledged')")
                        acknowledged += 1
            except psycopg.OperationalError:
                continue

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(KILLS):
            before = acknowledged
            wait_until(lambda: acknowledged > before + 20, "rows are written")  # noqa: B023 - evaluated at once
            stack.kill("main")
            wait_until(lambda: answers(url), "the server answers", seconds=5)
    finally:
        ended.set()
        writer.join()
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM notes WHERE body = 'acknowledged'").fetchone()
    assert row
    assert row[0] >= acknowledged
