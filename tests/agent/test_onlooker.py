"""The agent where others run the jobs: what it says of their backups, and how it follows a mounted state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keelson.agent import jobs, onlooker, state
from keelson.agent.jobs import Job
from keelson.agent.loop import JobView
from keelson.agent.onlooker import Onlooker
from keelson.agent.state import JobState
from keelson.backups.drills import evidence
from keelson.backups.drills.evidence import Drill
from keelson.backups.store import CHECK, Store
from keelson.inside.mounted import Mounted
from keelson.local import registry
from tests.agent.conftest import KEY, PROGRAM, REFERENCE, Agents, at, get
from tests.inside.state import State, keep_backup
from tests.stack.harness import wait_until

NAME = "backup-notes"


@dataclass
class Pod:
    """A mounted state, the backups, and one who looks on, on a clock that tests move."""

    state: State
    now: float = at("2026-05-02T12:00Z")

    def put(self, name: str = NAME, kind: str = "backup", **more: Any) -> None:
        values = {"reference": REFERENCE, "schedule": "0 2 * * *", "registered": at("2026-05-01T12:00Z")} | more
        job = Job(name=name, kind=kind, **{"settings": {"keep_days": 7, "keep_at_least": 3}} | values)
        self.state.write(lambda: jobs.put(KEY, job))

    def keep(self, begun: str | datetime, **more: Any) -> Path:
        moment = datetime.fromisoformat(begun) if isinstance(begun, str) else begun
        return keep_backup(Store(KEY), "notes", moment, **more).path

    def seen(self, name: str = NAME) -> JobView:
        """What one who begins to look on now sees of the job."""
        mounted = Mounted(KEY, self.state.file)
        mounted.follow()
        made = Onlooker(KEY, mounted, lambda: self.now)
        made.step()
        [view] = [each for each in made.view.jobs if each.job.name == name or len(made.view.jobs) == 1]
        assert made.view.faults == ()
        return view

    @property
    def fault(self) -> str:
        return self.seen().state.error


@pytest.fixture
def pod(home: Path) -> Pod:
    shutil.rmtree(registry.directory(KEY))  # the state comes from the mounted file alone
    return Pod(State(home, KEY))


def test_a_backup_that_was_due_and_is_there_is_well(pod: Pod) -> None:
    pod.put()
    pod.keep("2026-05-02T02:00:03Z")
    view = pod.seen()
    assert (view.next_due, view.running) == (at("2026-05-03T02:00Z"), False)
    known = view.state
    assert (known.error, known.failures, known.figures) == ("", 0, {"bytes": 4711})
    assert (known.begun, known.succeeded, known.seconds) == (at("2026-05-02T02:00:03Z"), at("2026-05-02T02:00:08Z"), 5)


def test_a_backup_that_was_due_and_is_not_there_is_told_after_an_hour(pod: Pod) -> None:
    pod.put()
    pod.now = at("2026-05-02T02:59:59Z")
    assert (pod.fault, pod.seen().state.failures) == ("", 0)
    pod.now = at("2026-05-02T03:00:01Z")
    assert pod.fault == (
        "a backup of notes was due at 2026-05-02 02:00 UTC, and there is no good one; run `keelson backup run notes`"
    )
    assert pod.seen().state.failures == 1
    pod.keep("2026-05-01T02:00:03Z")
    assert "and the last good one is of 2026-05-01 02:00 UTC;" in pod.fault
    made = pod.keep("2026-05-02T02:30:00Z")
    assert pod.fault == ""
    (made / CHECK).write_text(json.dumps({"at": "2026-05-02T02:40:00+00:00", "fault": "it is damaged"}))
    assert "and the last good one is of 2026-05-01 02:00 UTC;" in pod.fault


def test_what_was_due_before_the_job_was_there_is_not_missed(pod: Pod) -> None:
    pod.put(registered=at("2026-05-02T02:30Z"))
    assert pod.fault == ""
    pod.put(name="backup-other", registered=at("2030-05-02T02:30Z"))
    (pod.state.directory / "made/stacks" / KEY / "jobs" / f"{NAME}.json").unlink()
    pod.state.write()
    assert "was due" in pod.fault, "by a clock that was wrong when it was set up"


def test_backups_that_nobody_can_look_at_are_ill(pod: Pod) -> None:
    pod.put()
    folder = Store(KEY).directory / "notes"
    folder.parent.mkdir(parents=True)
    folder.write_text("no directory")
    assert pod.fault.startswith(f"cannot list the backups in {folder}: ")


def test_backups_whose_volume_hangs_are_ill_and_do_not_hold_it_up(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    pod.put()
    moving = threading.Event()
    monkeypatch.setattr(onlooker, "DEADLINE", 0.05)
    monkeypatch.setattr(onlooker.figures, "of_backups", lambda _job: moving.wait(20))
    try:
        assert pod.fault == "the backups could not be looked at within 0 s; see whether their volume answers"
    finally:
        moving.set()


def test_of_a_job_of_another_kind_nothing_is_said(pod: Pod) -> None:
    pod.put(kind="drill")
    assert (pod.fault, pod.seen().state.succeeded) == ("", 0)


def start(agents: Agents, pod: Pod) -> tuple[subprocess.Popen[bytes], int]:
    return agents.start(KEY, 0, "--state", str(pod.state.file), KEELSON_INSIDE="1")


def page(port: int) -> tuple[int, dict[str, Any]]:
    status, body = get(port, "/health")
    return status, json.loads(body)


def test_its_pages_tell_of_a_backup_that_is_overdue_and_of_one_that_is_there(pod: Pod, agents: Agents) -> None:
    pod.put()
    process, port = start(agents, pod)
    status, told = page(port)
    assert (status, told["faults"], "was due at" in told["jobs"][0]["error"]) == (503, [], True)
    assert get(port, "/live")[0] == 200
    pod.keep(datetime.now(UTC))
    wait_until(lambda: page(port)[0] == 200, "the backup is seen", seconds=10)
    [job] = page(port)[1]["jobs"]
    assert (job["failures"], job["running"], bool(job["last_success"])) == (0, False, True)
    metrics = get(port, "/metrics")[1].decode()
    assert f'keelson_backup_size_bytes{{name="{NAME}"}} 4711.0' in metrics
    assert f'keelson_job_last_success_timestamp_seconds{{name="{NAME}"}}' in metrics
    assert not state.directory(KEY).exists(), "it ran nothing"
    process.terminate()
    assert process.wait(10) == 0


def test_it_follows_a_state_that_is_replaced_and_ignores_one_that_is_none(pod: Pod, agents: Agents) -> None:
    later = time.time() - timedelta(minutes=1).total_seconds()
    pod.put(registered=later)
    process, port = start(agents, pod)
    assert page(port)[0] == 200
    pod.put("backup-other", registered=later)
    wait_until(lambda: len(page(port)[1]["jobs"]) == 2, "the new job is seen", seconds=10)
    pod.state.mount("{")
    wait_until(lambda: page(port)[1]["faults"], "what is wrong is told", seconds=10)
    told = page(port)[1]
    fault = f"{pod.state.file} holds no state of stack {KEY}; look at what is mounted there"
    assert (told["faults"], len(told["jobs"]), get(port, "/live")[0]) == ([fault], 2, 200)
    pod.state.write()
    wait_until(lambda: page(port)[0] == 200, "all is well again", seconds=10)
    process.terminate()
    assert process.communicate(timeout=10)[0].decode().splitlines() == [fault]


@pytest.mark.usefixtures("pod")
def test_without_a_state_to_begin_with_it_ends_with_a_sentence(home: Path) -> None:
    command = [*PROGRAM, KEY, "--port", "0", "--state", str(home / "none.json")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("none.json: No such file or directory; mount it there\n")


def test_a_drill_is_judged_by_its_evidence(pod: Pod) -> None:
    pod.put()
    pod.put("drill-notes", "drill", settings={"checks": {}}, schedule="0 4 * * *")
    pod.keep("2026-05-02T02:00:03Z")

    def drilled() -> JobState:
        return pod.seen("drill-notes").state

    assert drilled().error.startswith("a drill of notes was due at 2026-05-02 04:00 UTC, and there was none")
    begun, ended = (datetime.fromtimestamp(at(f"2026-05-02T04:00:{second}Z"), UTC) for second in ("10", "20"))
    good = Drill(KEY, "notes", "20260502T020003Z", begun, ended, seconds={"restore": 2.0})
    evidence.keep(Store(KEY), good)
    known = drilled()
    assert (known.error, known.failures, known.succeeded) == ("", 0, at("2026-05-02T04:00:20Z"))
    assert known.figures == {"recovery_seconds": 2.0}
    evidence.keep(Store(KEY), replace(good, differences=("public.t has 1 row in place of 2",)))
    assert (drilled().failures, drilled().succeeded) == (1, 0)
    assert "found 1 difference to the backup 20260502T020003Z" in drilled().error
