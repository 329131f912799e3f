"""When jobs run: on a clock that the test moves, by real processes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from keelson.agent import child, jobs, state
from keelson.local import processes
from tests.agent.conftest import KEY, Jobs, at
from tests.stack.harness import wait_until


def test_a_job_runs_when_it_is_due_and_not_before(stack: Jobs) -> None:
    stack.put()
    stack.settle()
    assert stack.view().next_due == at("2026-05-02T02:00Z")
    stack.move_to("2026-05-02T01:59:59Z")
    assert stack.notes == []
    stack.move_to("2026-05-02T02:00:01Z")
    assert stack.notes == ["begun backup-notes", "ended backup-notes"]
    known = stack.state()
    assert (known.handled, known.succeeded, known.error) == (at("2026-05-02T02:00Z"), stack.now, "")
    assert known.figures == {"bytes": 4711}
    assert known.seconds > 0
    assert stack.view().next_due == at("2026-05-03T02:00Z")
    stack.move_to("2026-05-02T23:00Z")
    assert stack.runs == 1


def test_a_job_is_due_at_the_very_second(stack: Jobs) -> None:
    stack.put()
    stack.settle()
    stack.move_to("2026-05-02T02:00:00Z")
    assert (stack.runs, stack.state().handled) == (1, at("2026-05-02T02:00Z"))


def test_a_first_registration_misses_nothing(stack: Jobs) -> None:
    stack.put(schedule="0 11 * * *")
    stack.settle()
    assert stack.notes == []
    stack.move_to("2026-05-01T13:00Z")
    assert stack.notes == []


def test_what_was_missed_is_run_once(stack: Jobs) -> None:
    stack.put(schedule="*/10 * * * *")
    stack.settle()
    stack.move_to("2026-05-04T12:05Z")
    assert stack.runs == 1
    assert stack.state().handled == at("2026-05-04T12:00Z")
    assert stack.view().next_due == at("2026-05-04T12:10Z")


def test_what_was_due_while_the_agent_was_down_is_run_once(stack: Jobs) -> None:
    stack.put()
    stack.settle()
    stack.now = at("2026-05-09T07:00Z")
    stack.new_loop()
    stack.settle()
    assert stack.runs == 1
    stack.new_loop()
    stack.settle()
    assert stack.runs == 1


def test_a_clock_moved_on_by_a_day_is_caught_up_with_once(stack: Jobs) -> None:
    stack.put(schedule="0 * * * *")
    stack.move_to("2026-05-01T13:00Z")
    stack.move_to("2026-05-02T13:00:30Z")
    assert stack.runs == 2


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_moved_back_by_a_day_makes_no_job_wait_a_day_longer(stack: Jobs, *, restarted: bool) -> None:
    stack.put(schedule="0 * * * *")
    stack.put("backup-daily", schedule="0 2 * * *")
    stack.move_to("2026-05-02T13:00Z")
    assert stack.runs == 2
    if restarted:
        stack.new_loop()
    stack.move_to("2026-05-01T13:00:05Z")
    assert stack.runs == 2
    assert stack.view().next_due == at("2026-05-01T14:00Z")
    assert stack.view("backup-daily").next_due == at("2026-05-02T02:00Z")
    stack.move_to("2026-05-01T14:00Z")
    assert stack.runs == 3


def test_a_clock_set_back_by_seconds_runs_nothing_twice(stack: Jobs) -> None:
    stack.put()
    stack.settle()
    stack.move_to("2026-05-02T02:00:00Z")
    stack.move_to("2026-05-02T01:59:50Z")
    stack.move_to("2026-05-02T02:00:01Z")
    assert stack.runs == 1


def test_whatever_a_clock_did_a_job_runs_when_it_is_due_next_and_no_oftener(stack: Jobs) -> None:
    stack.put(schedule="0 2 * * *")
    stack.settle()
    for moved in (
        "2031-05-01T02:30Z",
        "1990-05-01T02:30Z",
        "2026-05-03T13:00Z",
        "2099-01-01T00:00Z",
        "2026-05-02T01:00Z",
    ):
        before = stack.runs
        stack.move_to(moved)
        stack.settle()
        assert stack.runs <= before + 1, moved
    for day in range(2, 6):
        before = stack.runs
        stack.move_to(f"2026-05-0{day}T02:00Z")
        assert stack.runs == before + 1
        stack.move_to(f"2026-05-0{day}T23:00Z")
        assert stack.runs == before + 1


def test_a_stack_that_was_set_up_while_the_clock_was_wrong_is_backed_up_when_it_is_right(stack: Jobs) -> None:
    stack.put(registered=at("2030-01-01T00:00Z"))
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    assert stack.runs == 1


def test_what_is_due_at_once_runs_when_it_is_written_down_and_then_on_its_schedule(stack: Jobs) -> None:
    stack.put(settings={"at_once": True})
    stack.settle()
    assert stack.runs == 1
    stack.new_loop()
    stack.move_to("2026-05-02T01:00Z")
    assert stack.runs == 1
    stack.move_to("2026-05-02T02:00Z")
    assert stack.runs == 2


def test_a_night_in_which_clocks_change_has_one_backup(stack: Jobs) -> None:
    stack.now = at("2026-03-28T12:00Z")
    stack.put(schedule="30 2 * * *", time_zone="Europe/Berlin")
    stack.settle()
    stack.move_to("2026-03-29T00:59Z")
    assert stack.runs == 0
    stack.move_to("2026-03-29T01:00:01Z")  # 03:00, half past two never came
    assert stack.runs == 1
    stack.move_to("2026-03-29T12:00Z")
    assert stack.runs == 1
    stack.move_to("2026-10-24T12:00Z")
    for moment in ("2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-25T02:00Z"):
        stack.move_to(moment)
    assert stack.runs == 3


def test_a_schedule_that_was_changed_has_missed_nothing(stack: Jobs) -> None:
    stack.put(schedule="0 2 * * *")
    stack.settle()
    stack.put(schedule="0 11 * * *")
    stack.settle()
    assert stack.runs == 0
    assert stack.view().next_due == at("2026-05-02T11:00Z")
    _date_of_file(stack, "2026-05-01T12:00Z")
    stack.now = at("2026-05-02T12:00Z")
    stack.new_loop()
    stack.settle()
    assert stack.runs == 1


def test_a_schedule_that_was_changed_while_the_agent_was_down_is_counted_from_the_change(stack: Jobs) -> None:
    stack.put(schedule="0 2 * * *")
    stack.settle()
    stack.put(schedule="0 4 * * *")
    _date_of_file(stack, "2026-05-03T03:00Z")
    stack.now = at("2026-05-03T05:00Z")
    stack.new_loop()
    stack.settle()
    assert stack.state().handled == at("2026-05-03T04:00Z")
    assert stack.runs == 1


def _date_of_file(stack: Jobs, text: str) -> None:
    [path] = jobs.files(stack.key)
    os.utime(path, (at(text), at(text)))


def test_a_failed_run_is_tried_again_after_1_5_and_25_minutes_then_with_its_schedule(stack: Jobs) -> None:
    stack.put(do="fail")
    stack.settle()
    runs = []
    for moment in (
        *("02:00:00", "02:00:59", "02:01:00", "02:05:59", "02:06:00", "02:30:59", "02:31:00", "02:59:00", "23:59:00"),
    ):
        stack.move_to(f"2026-05-02T{moment}Z")
        runs.append(stack.runs)
    assert runs == [1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert (stack.state().failures, stack.state().error) == (4, "the disk is full; make room")
    stack.move_to("2026-05-03T02:00Z")
    stack.go("well")
    stack.move_to("2026-05-03T02:01Z")
    known = stack.state()
    assert (stack.runs, known.failures, known.error, known.succeeded) == (6, 0, "", stack.now)


def test_another_attempt_does_not_wait_for_a_clock_that_was_set_back(stack: Jobs) -> None:
    stack.put(do="fail")
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    stack.move_to("2026-05-01T02:00Z")
    assert stack.runs == 2


def test_jobs_run_one_after_the_other(stack: Jobs) -> None:
    for name in ("backup-a", "backup-b", "backup-c"):
        stack.put(name)
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    assert stack.notes == [f"{word} backup-{name}" for name in "abc" for word in ("begun", "ended")]


def test_a_run_that_is_under_way_is_not_begun_again(stack: Jobs) -> None:
    stack.put(schedule="* * * * *", do="hang")
    stack.now = at("2026-05-01T12:01Z")
    stack.loop.step()
    wait_until(lambda: len(stack.notes) == 2, "the job hangs")
    for minute in range(2, 9):
        stack.now = at(f"2026-05-01T12:0{minute}Z")
        stack.loop.step()
    assert (stack.runs, stack.running) == (1, ["backup-notes"])
    assert stack.state().unfinished
    stack.go()
    stack.settle()
    wait_until(lambda: stack.loop.step() or (stack.runs == 2 and not stack.running), "what was due meanwhile ran once")
    assert stack.state().handled == at("2026-05-01T12:08Z")


def test_jobs_that_change_are_noticed(stack: Jobs) -> None:
    stack.settle()
    stack.put("backup-a")
    stack.settle()
    assert stack.view("backup-a").next_due == at("2026-05-02T02:00Z")
    stack.put("backup-a", schedule="0 5 * * *")
    stack.settle()
    assert stack.view("backup-a").next_due == at("2026-05-02T05:00Z")
    jobs.drop(KEY, "backup-a")
    stack.settle()
    assert stack.loop.view.jobs == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"name": "backup-a"}',
        '{"name": "backup-b", "kind": "test", "reference": 7, "schedule": "0 2 * * *"}',
        b"\xff\xfe".decode("latin1"),
    ],
)
def test_a_damaged_file_is_named_and_stops_no_other_job(stack: Jobs, text: str) -> None:
    stack.put("backup-a")
    stack.put("backup-b")
    (jobs.directory(KEY) / "backup-a.json").write_text(text)
    stack.settle()
    [fault] = stack.loop.view.faults
    assert fault.startswith(f"the job {jobs.directory(KEY)}/backup-a.json cannot be read")
    stack.move_to("2026-05-02T02:00Z")
    assert stack.notes == ["begun backup-b", "ended backup-b"]
    stack.put("backup-a")
    stack.settle()
    assert not stack.loop.view.faults


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schedule", "often"),
        ("schedule", 5),
        ("time_zone", "Europe/Bonn"),
        ("name", "backup-z"),
        ("settings", []),
        ("registered", 1e300),
        ("registered", "now"),
    ],
)
def test_a_file_with_nonsense_is_named(stack: Jobs, key: str, value: object) -> None:
    stack.put("backup-a")
    path = jobs.directory(KEY) / "backup-a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    stack.settle()
    [fault] = stack.loop.view.faults
    assert "backup-a.json cannot be read" in fault
    assert stack.loop.view.jobs == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"handled": null}', '{"handled": 1e300}', '{"handled": "x"}', '{"handled": NaN}'])  # fmt: skip
def test_a_damaged_state_counts_as_none(stack: Jobs, text: str) -> None:
    stack.put()
    stack.settle()
    (state.directory(KEY) / "backup-notes.json").write_text(text)
    stack.new_loop()
    stack.settle()
    assert stack.view().next_due == at("2026-05-02T02:00Z")
    stack.move_to("2026-05-02T02:00Z")
    assert stack.state().succeeded == stack.now


def test_a_job_beyond_its_limit_is_ended_and_clears_up(stack: Jobs) -> None:
    stack.put(do="hang", settings={"time_limit": 1.5})
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    assert stack.state().error == "it took longer than its limit of 1.5 s and was ended"
    assert "hangs" in stack.notes[-1]
    assert not stack.half_done


def test_a_job_that_does_not_let_itself_be_ended_is_killed(stack: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE", 0.5)
    stack.put(do="stubborn", settings={"time_limit": 1.5})
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    assert "longer than its limit" in stack.state().error
    assert processes.look(int(stack.notes[-1].split()[1])) is None


@pytest.mark.parametrize(
    ("do", "error"),
    [
        ("fail", "the disk is full; make room"),
        ("break", "unexpected ZeroDivisionError: ; see `keelson logs agent`"),
        ("die", "its process ended with SIGKILL; see `keelson logs agent`"),
    ],
)
def test_how_a_run_failed_is_one_sentence(stack: Jobs, do: str, error: str) -> None:
    stack.put(do=do)
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    assert stack.state().error == error
    assert not stack.state().unfinished


def test_an_unknown_kind_is_named(stack: Jobs) -> None:
    stack.put(kind="polish")
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    assert "does not know the kind of job 'polish'" in stack.state().error


def test_a_program_that_cannot_be_started_is_a_failure(stack: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.put()
    stack.settle()
    monkeypatch.setattr(stack.loop, "_command", ("/nowhere/python",))
    stack.move_to("2026-05-02T02:00Z")
    assert stack.state().error.startswith("it cannot be started ([Errno 2] No such file")


def test_what_a_run_leaves_running_is_ended(stack: Jobs) -> None:
    stack.put(do="leave")
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    mark = str(stack.notes_file)
    wait_until(lambda: not [each for each in processes.running() if mark in each.command], "it has ended", seconds=5)


def test_a_run_that_was_cut_off_counts_as_not_done_and_runs_again(stack: Jobs) -> None:
    stack.put(do="hang")
    stack.now = at("2026-05-02T02:00Z")
    stack.put(do="hang", registered=at("2026-05-01T12:00Z"))
    state.write(KEY, "backup-notes", replace(stack.state(), handled=at("2026-05-01T12:00Z")))
    stack.loop.step()
    wait_until(lambda: len(stack.notes) == 2, "the job hangs")
    stack.loop.end()
    assert stack.state().unfinished
    stack.go()
    stack.new_loop()
    stack.settle()
    assert stack.runs == 2
    assert (stack.state().unfinished, stack.state().error) == (False, "")


def test_what_a_job_prints_goes_to_the_agents_log_with_its_name(stack: Jobs, capfd: pytest.CaptureFixture[str]) -> None:
    stack.put()
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    told = ""

    def printed() -> bool:
        nonlocal told
        told += capfd.readouterr().out
        return "backup-notes: hello from backup-notes\n" in told

    wait_until(printed, "the output of the job", seconds=5)
    assert "backup-notes: begun, due 2026-05-02 02:00:00 UTC" in told
    assert "backup-notes: done (" in told


def test_a_job_that_is_struck_out_while_it_runs_ends_in_peace(stack: Jobs) -> None:
    stack.put(schedule="* * * * *", do="hang")
    stack.settle()
    stack.now = at("2026-05-01T12:01Z")
    stack.loop.step()
    wait_until(lambda: len(stack.notes) == 2, "the job hangs")
    jobs.drop(KEY, "backup-notes")
    stack.loop.step()
    stack.go()
    wait_until(lambda: stack.loop.step() or "ended backup-notes" in stack.notes, "the job has ended")
    wait_until(lambda: stack.loop.step() or not stack.state().unfinished, "that is written down")


def test_the_loop_keeps_its_files_to_itself(stack: Jobs) -> None:
    stack.put()
    stack.settle()
    stack.move_to("2026-05-02T02:00Z")
    made = [path for path in state.directory(KEY).rglob("*") if path.is_file()]
    assert {path.name for path in made} == {"backup-notes.json", "backup-notes.jsonl"}
    assert {oct(path.stat().st_mode & 0o777) for path in made} == {"0o600"}


def test_other_files_of_the_jobs_directory_are_nobodys_concern(stack: Jobs) -> None:
    stack.put()
    Path(jobs.directory(KEY) / ".backup-notes.json.x1y2").write_text("{")
    stack.settle()
    assert not stack.loop.view.faults
