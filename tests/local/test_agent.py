"""The agent under supervisord, beside a real server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keelson.agent import jobs, state
from keelson.agent.jobs import Job
from keelson.endpoint import Reference
from keelson.errors import ServerError
from keelson.local import agent, daemon, processes, server, supervisor
from keelson.local.daemon import DaemonSpec
from keelson.target import Part, target
from tests.agent import program
from tests.agent.conftest import get
from tests.local.conftest import LocalStack, free_port, listener, wait_until

IDLE_MEMORY = 56e6  # bytes, once its figures were asked for


def _spec(local: LocalStack, **values: Any) -> DaemonSpec:
    return DaemonSpec(local.key, local.stack_id, "agent", "agent", **{"preferred_port": free_port(), **values})


def _part(local: LocalStack) -> Part:
    [part] = [part for part in target("local").parts(local.key) if part.name == "agent"]
    return part


def _pid(local: LocalStack) -> int:
    return supervisor.noted(local.key, "agent").pid


def _put(local: LocalStack, notes: Path, **values: Any) -> None:
    """Write a job down that was due yesterday, and will not be due again during the test."""
    reference = Reference(stack=local.key, target="local", server="main", database="postgres")
    schedule = f"0 {(time.gmtime().tm_hour - 6) % 24} * * *"
    settings = {"notes": str(notes), "do": values.pop("do", "")}
    jobs.put(
        local.key,
        Job("backup-notes", "test", reference, schedule, settings=settings, **{"registered": time.time(), **values}),
    )


def _freeze(local: LocalStack) -> None:
    _signal_server(local, signal.SIGSTOP)


def _thaw(local: LocalStack) -> None:
    _signal_server(local, signal.SIGCONT)


def _signal_server(local: LocalStack, number: signal.Signals) -> None:
    for process in processes.of_stack(local.key):
        if "postgres" in process.command.split(" ")[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _page(port: int) -> tuple[int, dict[str, Any], float]:
    began = time.monotonic()
    status, body = get(port, "/health")
    return status, json.loads(body), time.monotonic() - began


@pytest.fixture(autouse=True)
def _with_kinds_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "MODULE", (program.__file__, "agent"))


@pytest.fixture
def port(local: LocalStack) -> int:
    """An agent without servers."""
    return daemon.start(_spec(local)).port


@pytest.fixture
def beside(running: LocalStack) -> Iterator[tuple[LocalStack, int]]:
    """An agent beside a server."""
    yield running, daemon.start(_spec(running)).port
    _thaw(running)


def test_an_agent_starts_answers_and_stops(local: LocalStack, port: int) -> None:
    assert _part(local) == Part(name="agent", kind="agent", running=True, answering=True, port=port)
    daemon.stop(local.key, "agent")
    assert _part(local).answering is False
    target("local").start(local.key)
    assert _part(local).port == port
    daemon.remove(local.key, "agent")
    wait_until(lambda: not processes.of_stack(local.key))


def test_it_runs_by_the_same_command_whichever_link_led_to_its_python(local: LocalStack, port: int) -> None:
    pid = _pid(local)
    assert daemon.start(_spec(local, preferred_port=port)).port == port
    assert _pid(local) == pid
    command = processes.look(pid)
    assert command
    assert Path(command.command.split()[0]).parent.resolve() == Path(command.command.split()[0]).parent


def test_a_killed_agent_is_back_within_five_seconds_and_its_run_has_ended(
    local: LocalStack, port: int, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    _put(local, notes, registered=time.time() - 86_400, do="hang")
    wait_until(lambda: notes.exists() and "hangs" in notes.read_text())
    run = int(notes.read_text().split()[-1])
    before = _pid(local)
    os.kill(before, signal.SIGKILL)
    began = time.monotonic()
    wait_until(lambda: _pid(local) not in (0, before) and _part(local).answering, seconds=5)
    assert time.monotonic() - began < 5
    wait_until(lambda: processes.look(run) is None, seconds=5)
    notes.with_suffix(".go").touch()
    wait_until(lambda: state.read(local.key, "backup-notes").succeeded)
    assert notes.read_text().count("ended") == 1
    assert get(port, "/live")[0] == 200


def test_a_killed_supervisord_takes_agent_and_run_with_it_and_a_start_brings_all_back(
    local: LocalStack, port: int, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    _put(local, notes, registered=time.time() - 86_400, do="hang")
    wait_until(lambda: notes.exists() and "hangs" in notes.read_text())
    before = [_pid(local), int(notes.read_text().split()[-1])]
    os.kill(local.process("supervisor.supervisord").pid, signal.SIGKILL)
    assert processes.wait_until_gone(before, seconds=10)
    notes.with_suffix(".go").touch()
    target("local").start(local.key)
    wait_until(lambda: state.read(local.key, "backup-notes").succeeded)
    assert notes.read_text().count("ended") == 1
    assert _part(local).port == port


def test_an_agent_whose_port_was_taken_meanwhile_says_so(local: LocalStack) -> None:
    with listener() as taken, pytest.raises(ServerError, match=f"port {taken}"):
        daemon.start(_spec(local, port=taken))


def test_the_agent_of_another_stack_on_its_port_is_no_answer(local: LocalStack, port: int) -> None:
    assert agent.AgentKind().answers(_spec(local), port) == ""
    other = DaemonSpec("other-dev", local.stack_id, "agent", "agent")
    assert agent.AgentKind().answers(other, port) == f"the agent of stack {local.key} answers on its port"


def test_health_is_ill_within_five_seconds_when_a_server_is_stopped_or_frozen(beside: tuple[LocalStack, int]) -> None:
    local, port = beside
    status, page, _ = _page(port)
    assert (status, page["well"]) == (200, True), page
    assert {part["name"]: part["well"] for part in page["parts"]} == {"main": True, "agent": True}
    _freeze(local)
    wait_until(lambda: _page(port)[0] == 503, seconds=5)
    status, page, took = _page(port)
    assert (status, took < 5) == (503, True)
    assert [part["well"] for part in page["parts"] if part["name"] == "main"] == [False]
    _thaw(local)
    wait_until(lambda: _page(port)[0] == 200)
    server.stop(local.key, "main")
    wait_until(lambda: _page(port)[0] == 503, seconds=5)


def test_metrics_of_a_server_come_by_one_connection_and_hang_on_nothing(
    beside: tuple[LocalStack, int], tmp_path: Path
) -> None:
    local, port = beside
    _put(local, tmp_path / "notes.txt")
    wait_until(lambda: b'keelson_server_up{server="main"} 1.0' in get(port, "/metrics")[1], seconds=10)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(port, "/metrics"), range(24)))
    assert {status for status, _ in answers} == {200}
    text = answers[-1][1].decode()
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    of_postgres = '{database="postgres",server="main"}'
    assert float(figures[f"keelson_database_size_bytes{of_postgres}"]) > 1e6
    assert 0 < float(figures[f"keelson_database_cache_hit_ratio{of_postgres}"]) <= 1
    assert float(figures[f"keelson_database_commits_total{of_postgres}"]) > 0
    assert float(figures['keelson_server_connections_max{server="main"}']) >= 20
    assert figures['keelson_part_up{kind="server",part="main"}'] == "1.0"
    counted = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keelson agent'"
    assert local.execute(counted)[0][0] <= 1
    _freeze(local)
    began = time.monotonic()
    wait_until(lambda: b'keelson_server_up{server="main"} 0.0' in get(port, "/metrics")[1], seconds=10)
    assert time.monotonic() - began < 6


def test_an_idle_agent_is_small_and_sleeps(beside: tuple[LocalStack, int], tmp_path: Path) -> None:
    local, port = beside
    _put(local, tmp_path / "notes.txt")
    for _ in range(5):
        assert get(port, "/metrics")[0] == 200
        assert get(port, "/health")[0] in (200, 503)
    pid = _pid(local)
    process = processes.look(pid)
    assert process
    assert process.memory < IDLE_MEMORY
    before = _cpu(pid)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 4)
    assert _cpu(pid) - before < 0.02 * 4  # of one core, two in a hundred; measured: less than one in a thousand


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_supervisord_that_hangs_is_ill_health_within_five_seconds(local: LocalStack, port: int) -> None:
    hung = local.process("supervisor.supervisord").pid
    os.kill(hung, signal.SIGSTOP)
    try:
        for _ in range(2):
            status, page, took = _page(port)
            assert (status, took < 5) == (503, True)
            assert page["faults"] == ["the parts could not be looked at within 4 s; run `keelson status`"]
    finally:
        os.kill(hung, signal.SIGCONT)
    wait_until(lambda: _page(port)[0] == 200)


def test_an_agent_that_hangs_is_told_within_three_seconds(local: LocalStack, port: int) -> None:
    os.kill(_pid(local), signal.SIGSTOP)
    began = time.monotonic()
    part = _part(local)
    assert time.monotonic() - began < 3
    assert (part.running, part.answering, part.port) == (True, False, port)
    os.kill(_pid(local), signal.SIGCONT)
    wait_until(lambda: _part(local).answering)


def test_an_agent_of_another_version_is_started_anew_and_the_same_one_stays(local: LocalStack) -> None:
    spec = _spec(local, settings={"code": "a"})
    daemon.start(spec)
    first = _pid(local)
    daemon.start(spec)
    assert _pid(local) == first
    daemon.start(replace(spec, settings={"code": "b"}))
    assert _pid(local) != first
    assert _part(local).answering
