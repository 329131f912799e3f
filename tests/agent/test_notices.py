"""Who is told of runs, what stands in their history, and when runs begin."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from keelson.agent import history, notices
from keelson.agent.jobs import Job
from keelson.agent.loop import offset
from keelson.agent.notices import Notice
from tests.agent.conftest import KEY, REFERENCE, Jobs, at
from tests.agent.watcher import Watcher, watching


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    with watching() as made:
        yield made


def put(stack: Jobs, watcher: Watcher, do: str = "") -> None:
    stack.put(do=do, settings={"webhook": f"{watcher.url}/hook", "ping": f"{watcher.url}/key/{{job}}"})
    stack.settle()


def test_a_watcher_is_told_that_a_run_began_and_that_it_went_well(stack: Jobs, watcher: Watcher) -> None:
    put(stack, watcher)
    stack.move_to("2026-05-02T02:00:01Z")
    stack.loop.messenger.wait()
    assert watcher.paths == ["/key/backup-notes/start", "/key/backup-notes"]
    stack.move_to("2026-05-02T20:00Z")
    assert len(watcher.told) == 2


def test_a_failed_run_is_told_to_the_watcher_and_the_webhook(stack: Jobs, watcher: Watcher) -> None:
    put(stack, watcher, "fail")
    stack.move_to("2026-05-02T02:00:01Z")
    stack.loop.messenger.wait()
    assert watcher.paths == ["/key/backup-notes/start", "/key/backup-notes/fail", "/hook"]
    error = stack.state().error
    assert watcher.told[1][2].decode() == error
    _, kind, body = watcher.told[2]
    told = json.loads(body)
    assert (kind, told.pop("seconds") > 0) == ("application/json", True)
    assert told == {
        "event": "failed",
        "stack": KEY,
        "job": "backup-notes",
        "kind": "test",
        "of": "notes",
        "error": error,
        "failures": 1,
        "begun": "2026-05-02T02:00:01+00:00",
    }


@pytest.mark.parametrize(
    ("answers", "attempts", "fault"),
    [([500, 429], 3, ""), ([404], 1, "it answers 404"), ([503] * 3, 3, "it answers 503")],
)
def test_a_server_in_trouble_is_told_again_and_a_wrong_address_is_not(
    watcher: Watcher, answers: list[int], attempts: int, fault: str
) -> None:
    watcher.answers = [*answers]
    said = notices.send(Notice("backup-notes", f"{watcher.url}/secret-key", b""), pauses=(0, 0))
    assert (len(watcher.told), bool(said)) == (attempts, bool(fault))
    assert fault in said
    assert "secret-key" not in said


def test_nobody_who_listens_keeps_no_job_waiting_and_stands_in_the_faults(stack: Jobs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    stack.new_loop().messenger._pauses = (0, 0)
    stack.put(settings={"ping": f"http://127.0.0.1:{port}/{{job}}"})
    stack.settle()
    stack.move_to("2026-05-02T02:00:01Z")
    assert stack.state().succeeded == stack.now
    stack.loop.messenger.wait()
    stack.loop.step()
    [fault] = stack.loop.view.faults
    assert f"backup-notes: 127.0.0.1:{port} could not be told of a run" in fault


def test_every_run_stands_in_the_history_the_newest_first(stack: Jobs) -> None:
    stack.put(do="fail")
    stack.settle()
    stack.move_to("2026-05-02T02:00:01Z")
    stack.put()
    stack.move_to("2026-05-02T02:01:02Z")
    second, first = history.read(KEY, "backup-notes")
    assert (bool(first.error), second.error) == (True, "")
    assert (first.due, second.due, second.begun) == (
        at("2026-05-02T02:00Z"),
        at("2026-05-02T02:00Z"),
        at("2026-05-02T02:01:02Z"),
    )
    with (history.directory(KEY) / "backup-notes.jsonl").open("a") as file:
        file.write('{"job": "cut o')
    assert history.read(KEY, "backup-notes") == [second, first]
    for number in range(history.KEPT + history.SPARE):
        history.keep(KEY, history.Run("backup-notes", "test", number, number, number, 0))
    assert history.KEPT <= len(history.read(KEY, "backup-notes")) <= history.KEPT + history.SPARE


def test_runs_that_are_due_together_begin_apart_and_always_at_the_same_minute(stack: Jobs) -> None:
    stack.put(settings={"spread": 3600})
    stack.settle()
    later = offset(Job("backup-notes", "test", REFERENCE, "0 2 * * *", settings={"spread": 3600}))
    others = {offset(Job(f"backup-{n}", "test", REFERENCE, "0 2 * * *", settings={"spread": 3600})) for n in range(20)}
    assert len(others) > 15
    assert 0 <= min(others) <= max(others) < 3600
    assert stack.view().next_due == at("2026-05-02T02:00Z") + later
    stack.now = at("2026-05-02T02:00Z") + later - 1
    stack.settle()
    assert stack.runs == 0
    stack.now += 1
    stack.settle()
    assert (stack.runs, stack.state().handled) == (1, at("2026-05-02T02:00Z"))


def test_what_cannot_begin_in_its_window_fails_and_waits_for_its_next_time(stack: Jobs, watcher: Watcher) -> None:
    stack.put(settings={"window": 7200, "webhook": f"{watcher.url}/hook"})
    stack.settle()
    stack.move_to("2026-05-02T04:00:01Z")
    assert stack.runs == 0
    assert "could not begin in its window of 2 h" in stack.state().error
    stack.loop.messenger.wait()
    assert watcher.paths == ["/hook"]
    stack.move_to("2026-05-02T04:30Z")
    assert stack.runs == 0
    stack.move_to("2026-05-03T03:59Z")
    assert (stack.runs, stack.state().error) == (1, "")


def test_no_further_attempt_is_made_after_the_window(stack: Jobs) -> None:
    stack.put(do="fail", settings={"window": 120})
    stack.settle()
    for moment in ("02:00:01", "02:01:10", "02:20", "03:00"):
        stack.move_to(f"2026-05-02T{moment}Z")
    assert stack.runs == 2
