"""The connection is cut, or the runner killed, after each message of a run: ledger and schema agree after the retry."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.migrations.faults.proxy import Proxy
from tests.migrations.faults.run import Run
from tests.migrations.project import Project

RUNNERS = 10
SEED = 42


def every(messages: int) -> Sequence[int]:
    return range(1, messages + 1)


def sample_of(number: int) -> Callable[[int], Sequence[int]]:
    return lambda messages: sorted(random.Random(SEED).sample(every(messages), number))


def sampled(number: int) -> pytest.MarkDecorator:
    """Run with a sample, or in a soak with all messages."""
    soak = pytest.param(every, marks=[pytest.mark.soak, pytest.mark.timeout(3600)], id="every")
    return pytest.mark.parametrize("chosen", [pytest.param(sample_of(number), id="sample"), soak])


@pytest.fixture
def run(project: Project) -> Iterator[Run]:
    with project.service.as_admin() as admin:
        yield Run(project, admin)


@sampled(16)
@pytest.mark.parametrize("half", [False, True], ids=["whole", "half"])
def test_a_cut_after_a_message_leaves_nothing_half_done(
    run: Run, project: Project, chosen: Callable[[int], Sequence[int]], *, half: bool
) -> None:
    for number in chosen(run.messages()):
        with Proxy(project.service.server.port, number, half=half) as proxy:
            message = run.attempt(proxy.port)
        assert not message or "connection" in message or "cannot connect" in message, (number, message)
        run.finish()


@sampled(6)
def test_a_runner_killed_at_a_message_leaves_nothing_half_done(
    run: Run, project: Project, chosen: Callable[[int], Sequence[int]]
) -> None:
    for number in chosen(run.messages()):
        with run.process() as process, Proxy(project.service.server.port, number, process.kill) as proxy:
            run.send_off(process, proxy.port)
            assert process.wait(30) == -9
        run.finish()


@pytest.mark.parametrize("times", [2, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_ten_runners_at_once_all_end_well(run: Run, project: Project, times: int) -> None:
    port = project.service.server.port
    for _ in range(times):
        with ThreadPoolExecutor(RUNNERS) as pool:
            assert list(pool.map(run.attempt, [port] * RUNNERS)) == [""] * RUNNERS
        run.finish()


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_ten_processes_at_once_all_end_well(run: Run, project: Project, times: int) -> None:
    def process(port: int) -> tuple[int, str]:
        with run.process() as started:
            run.send_off(started, port)
            return started.wait(60), started.stderr.read() if started.stderr else "nothing"

    for _ in range(times):
        with ThreadPoolExecutor(RUNNERS) as pool:
            assert list(pool.map(process, [project.service.server.port] * RUNNERS)) == [(0, "")] * RUNNERS
        run.finish()
