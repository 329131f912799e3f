"""Kills at any moment: what was committed stays, the next run finishes, nothing is left running."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest

from tests.stack.harness import StackUnderTest, wait_until

KILLS = 8  # a hundred: make soak
SEED = 20_261_121


def _engine(stack: StackUnderTest) -> int | None:
    for pid, command in stack.processes().items():
        if Path(command.split(" ")[0]).name == "pulumi" and " up " in command:
            return pid
    return None


def kill_up_after(stack: StackUnderTest, seconds: float) -> str | None:
    """Start `keelson up`, kill the engine after `seconds`; if it had ended before, return what it said."""
    running = stack.start("up")
    said: list[str] = []
    drain = threading.Thread(target=lambda: said.append(running.communicate()[0]), daemon=True)
    drain.start()
    wait_until(lambda: _engine(stack) or running.poll() is not None, "the engine runs")
    ended = threading.Event()
    ended.wait(seconds)
    killed = _kill(_engine(stack))
    drain.join(120)
    return None if killed else "".join(said)


def _kill(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended by itself in between
        return False
    return True


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_up_killed_at_random_moments_is_finished_by_the_next(stack: StackUnderTest) -> None:
    chance = random.Random(SEED)
    rounds, survived = 0, list[str]()
    while rounds - len(survived) < KILLS:
        assert len(survived) < KILLS, survived[-1]
        rounds += 1
        _write_slow_migration(stack, rounds + 1)
        said = kill_up_after(stack, chance.uniform(0, 2.5))
        survived += [] if said is None else [said]
    stack.keelson("up")
    wait_until(lambda: not stack.engine_processes(), "no process of the engine is left", seconds=10)
    assert stack.count("notes", "notes") == 10
    assert [stack.count("notes", f"t{number}") for number in range(2, rounds + 2)] == [1] * rounds
    with stack.connect("notes", "admin") as connection:
        running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(0.4)%' AND pid <> pg_backend_pid()"
        assert connection.execute(running).fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM pg_database WHERE NOT datistemplate").fetchone() == (2,)
    assert "unchanged" in stack.keelson("up").stdout
    assert "pending_operations" not in stack.export()["deployment"]


def _write_slow_migration(stack: StackUnderTest, number: int) -> None:
    text = f"CREATE TABLE t{number} (id int);\nSELECT pg_sleep(0.4);\nINSERT INTO t{number} VALUES (1);\n"
    name = f"migrations/{number:03d}_t{number}"
    stack.write_service("notes", {f"{name}.sql": text, f"{name}.down.sql": f"DROP TABLE t{number};\n"})


def test_sql_of_a_killed_up_stops_running(stack: StackUnderTest) -> None:
    stack.keelson("up")
    stack.write_service(
        "notes", {"migrations/002_slow.sql": "SELECT pg_sleep(120);\n", "migrations/002_slow.down.sql": "SELECT 1;\n"}
    )
    running = stack.start("up")
    threading.Thread(target=running.communicate, daemon=True).start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)%' AND state = 'active' AND pid <> pg_backend_pid()"
    with stack.connect("notes", "admin") as connection:
        wait_until(lambda: connection.execute(asleep).fetchone() == (1,), "the migration runs")
        engine = _engine(stack)
        assert engine
        os.kill(engine, signal.SIGKILL)
        wait_until(lambda: connection.execute(asleep).fetchone() == (0,), "the migration ended", seconds=10)
    wait_until(lambda: not stack.engine_processes(), "no process of the engine is left", seconds=10)


def test_a_second_up_says_who_holds_the_stack(stack: StackUnderTest) -> None:
    stack.keelson("up")
    stack.write_service(
        "notes", {"migrations/002_slow.sql": "SELECT pg_sleep(5);\n", "migrations/002_slow.down.sql": "SELECT 1;\n"}
    )
    first = stack.start("up")
    output: list[str] = []
    drain = threading.Thread(target=lambda: output.append(first.communicate()[0]), daemon=True)
    drain.start()
    locks = stack.home / "state/keelson/pulumi/.pulumi/locks"
    wait_until(lambda: list(locks.rglob("*.json")), "the first run holds the stack")
    second = stack.keelson("up", check=False)
    assert second.returncode == 1
    assert f"stack {stack.name} is held by" in second.stderr
    assert "process " in second.stderr
    drain.join(60)
    assert first.returncode == 0, output


def test_a_killed_server_answers_again_within_five_seconds_and_loses_nothing(stack: StackUnderTest) -> None:
    stack.keelson("up")
    url = stack.url("notes", "migrator")
    for committed in range(1, 4):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET ROLE notes_owner")
            connection.execute("INSERT INTO notes (body) VALUES ('committed')")
        stack.kill("main")
        began = time.monotonic()
        wait_until(lambda: answers(url), "the server answers", seconds=5)
        assert time.monotonic() - began < 5
        assert stack.count("notes", "notes") == 10 + committed
    assert stack.logs().count("not properly shut down") == 3
    stack.keelson("restart", "main")
    assert stack.logs().count("not properly shut down") == 3


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.local
def test_after_its_supervisor_was_killed_a_stack_is_back_within_thirty_seconds(stack: StackUnderTest) -> None:
    stack.keelson("up")
    supervisors = [pid for pid, command in stack.processes().items() if "supervisord.conf" in command]
    assert len(supervisors) == 1
    before = set(stack.processes())
    os.kill(supervisors[0], signal.SIGKILL)
    wait_until(lambda: not before & set(stack.processes()), "what ran before has ended", seconds=30)
    wait_until(lambda: stack.keelson("status", check=False).returncode == 0, "all is well", seconds=30)
    assert stack.count("notes", "notes") == 10
    stack.keelson("stop")
    assert not stack.processes()
