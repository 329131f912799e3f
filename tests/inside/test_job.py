"""One run of a job in a process that has nothing but a mounted state and the backups."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keelson.agent import jobs
from keelson.agent.jobs import Job
from keelson.backups.drills import evidence
from keelson.backups.store import Store
from keelson.endpoint import Reference
from keelson.inside import files
from keelson.local import registry
from tests.backups.conftest import KEY as SERVED
from tests.backups.conftest import Subject
from tests.inside import program
from tests.inside.state import State, keep_backup
from tests.local import namespaces
from tests.stack.harness import wait_until

KEY = "job-dev"
REFERENCE = Reference(stack=KEY, target="kubernetes", server="main", database="notes")
SETTINGS = {"keep_days": 7, "keep_at_least": 1}
CHECKS = {"few.sql": "SELECT a FROM t WHERE a > 20000"}


@dataclass
class Pod:
    """A pod of a job: its own empty directories, the backups, and a mounted state."""

    directory: Path
    made: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def state(self) -> State:
        return State(self.directory, KEY)

    @property
    def notes_file(self) -> Path:
        return self.directory / "notes.txt"

    @property
    def environment(self) -> dict[str, str]:
        own = {f"XDG_{name}": str(self.directory / name.lower()) for name in ("STATE_HOME", "DATA_HOME", "RUNTIME_DIR")}
        return {**os.environ, **own, "KEELSON_INSIDE": "1"}

    def put(self, name: str = "backup-notes", do: str = "", kind: str = "test", **more: Any) -> None:
        settings = SETTINGS | {"notes": str(self.notes_file), "do": do}
        job = Job(
            **{"name": name, "kind": kind, "reference": REFERENCE, "schedule": "0 2 * * *", "settings": settings} | more
        )
        self.state.write(lambda: jobs.put(KEY, job))

    def start(self, name: str = "backup-notes", key: str = KEY, state: Path | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, program.__file__, key, name, "--state", str(state or self.state.file)]
        self.made.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment)
        )
        return self.made[-1]

    def run(self, name: str = "backup-notes", **more: Any) -> tuple[int, list[str], list[str]]:
        process = self.start(name, **more)
        out, err = process.communicate(timeout=60)
        return process.returncode, out.splitlines(), err.splitlines()

    def end(self) -> None:
        for process in self.made:
            process.kill()
            process.communicate()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    made = Pod(tmp_path)
    yield made
    made.end()


def test_a_job_is_done_with_a_line_for_each_step(pod: Pod) -> None:
    pod.put()
    status, out, err = pod.run()
    assert (status, err) == (0, [])
    assert out[:2] == ["backup-notes: begun, with notes on main", "hello from backup-notes"]
    assert out[2].startswith("backup-notes: done (")
    assert pod.notes_file.read_text().splitlines() == ["begun backup-notes", "ended backup-notes"]
    assert not (pod.directory / "state_home/keelson/stacks" / KEY / "agent").exists()


def test_a_failure_is_one_sentence_and_a_defect_shows_where_it_is(pod: Pod) -> None:
    pod.put(do="fail")
    assert pod.run()[::2] == (1, ["the disk is full; make room"])
    pod.put(do="break")
    status, _, err = pod.run()
    assert (status, err[0]) == (1, "Traceback (most recent call last):")
    assert err[-1] == "unexpected ZeroDivisionError: ; it stands above in this log"


@pytest.mark.parametrize(
    "document",
    ["", "{", "[]", "{}", '{"stack.json": 1}', '{"stack.json": "{}", "\\u0000": ""}', '{"stack.json": "\\ud800"}'],
)
def test_a_mounted_file_that_is_no_state_is_one_sentence(pod: Pod, document: str) -> None:
    pod.state.mount(document)
    [sentence] = refused(pod)
    assert sentence == f"{pod.state.file} holds no state of stack {KEY}; look at what is mounted there"


def test_a_state_that_leads_out_of_its_place_or_is_missing_is_one_sentence(pod: Pod) -> None:
    pod.state.mount({"stack.json": "{}", "../../x": ""})
    assert "lies outside of it" in refused(pod)[0]
    [sentence] = refused(pod, state=pod.directory / "none.json")
    assert sentence.endswith("none.json: No such file or directory; mount it there")


def test_a_job_that_is_unknown_or_damaged_is_one_sentence(pod: Pod) -> None:
    pod.put()
    assert refused(pod, "backup-other") == [f"stack {KEY} has no job backup-other any more; nothing is to be done"]
    assert refused(pod, "../stack") == [f"stack {KEY} has no job ../stack any more; nothing is to be done"]
    pod.state.mount({"stack.json": "{}", "jobs/backup-notes.json": "{"})
    assert "backup-notes.json cannot be read" in refused(pod)[0]


def test_one_that_is_asked_to_end_clears_up_first(pod: Pod) -> None:
    pod.put(do="hang")
    process = pod.start()
    wait_until(lambda: pod.notes_file.exists() and "hangs" in pod.notes_file.read_text(), "it hangs")
    process.terminate()
    err = process.communicate(timeout=10)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert err == "backup-notes was asked to end before it was done; what was half made is removed\n"
    assert not pod.notes_file.with_suffix(".half").exists()


def test_a_state_that_has_no_room_is_one_sentence(pod: Pod) -> None:
    pod.put()
    own = pod.directory / "state_home"
    own.mkdir()
    body = FULL.format(
        command=[sys.executable, program.__file__, KEY, "backup-notes", "--state", str(pod.state.file)],
        env=pod.environment,
    )
    said = namespaces.run(f"mount -t tmpfs -o size=8k tmpfs {own}", body)
    assert said.startswith("1 cannot write ")
    assert said.endswith("No space left on device; make room or give write access and run the command again\n")


FULL = """
import os, subprocess
environment = {env} | {{name: os.environ[name] for name in ("PYTHONPATH", "TMPDIR")}}
done = subprocess.run({command}, capture_output=True, text=True, env=environment)
print(done.returncode, done.stderr, end="")
"""


@pytest.fixture
def serve(pod: Pod, filled: Subject) -> Callable[[], str]:
    """Mounts the state of a stack with a real server, and a job of one of its databases; returns the job's name."""
    assert filled
    job = Job(jobs.backup_of(filled.name), "backup", filled.reference, "0 2 * * *", settings=SETTINGS)
    drill = Job(jobs.drill_of(filled.name), "drill", filled.reference, job.schedule, settings={"checks": CHECKS})
    jobs.put(SERVED, job)
    jobs.put(SERVED, drill)
    state = files.read(registry.directory(SERVED) / "jobs")
    names = ("stack.json", "secrets.json")
    directory = registry.directory(SERVED)
    pod.state.mount(
        {f"jobs/{name}": text for name, text in state.items()}
        | {name: (directory / name).read_text() for name in names}
        | {f"tls/{name}": text for name, text in files.read(directory / "tls").items()}
    )
    for each in (job, drill):
        jobs.drop(SERVED, each.name)
    return lambda: job.name


def stored(pod: Pod) -> Store:
    """The backups that the pod sees."""
    return Store(SERVED, pod.directory / "data_home" / "keelson" / "backups")


def test_a_database_is_backed_up_read_back_and_old_backups_go(
    pod: Pod, filled: Subject, serve: Callable[[], str]
) -> None:
    name, store = serve(), stored(pod)
    old = keep_backup(store, filled.name, datetime(2020, 1, 1, tzinfo=UTC))
    status, out, err = pod.run(name, key=SERVED)
    assert (status, err) == (0, []), err
    [made] = store.all(filled.name)
    assert (made.manifest.reason, made.manifest.counts, made.fault) == ("scheduled", {"public.t": 20_000}, "")
    assert out[1] == f"{name}: {made.id} is written and read back ({made.manifest.bytes:,} bytes)"
    assert out[2] == f"{name}: {old.id} is removed, by its age"


def test_a_backup_is_drilled_and_the_evidence_lies_beside_it(
    pod: Pod, filled: Subject, serve: Callable[[], str]
) -> None:
    assert pod.run(serve(), key=SERVED)[0] == 0
    name, store = jobs.drill_of(filled.name), stored(pod)
    status, out, err = pod.run(name, key=SERVED)
    assert (status, err, out[-1].startswith(f"{name}: done (")) == (0, [], True), err
    done = evidence.last(store, filled.name)
    assert done
    assert (done.well, done.compared["rows"], done.checks) == (True, 20_000, {"few.sql": 0})
    assert done.backup == store.all(filled.name)[0].id
    assert list((pod.directory / "data_home/keelson/scratch").glob("*")) == []


def test_one_that_meets_another_at_work_on_the_same_backups_refuses(
    pod: Pod, filled: Subject, serve: Callable[[], str]
) -> None:
    name = serve()
    with stored(pod).writing(filled.name):
        [sentence] = refused(pod, name, key=SERVED)
    assert sentence.endswith(f"is at work on the backups of {filled.name}; wait for its end")


def test_a_dump_that_is_asked_to_end_leaves_no_backup(pod: Pod, filled: Subject, serve: Callable[[], str]) -> None:
    name, folder = serve(), stored(pod).directory / filled.name
    with filled.connect() as busy, busy.transaction():
        busy.execute("LOCK TABLE t")
        process = pod.start(name, key=SERVED)
        wait_until(lambda: list(folder.glob(".*.partial/data.dump")), "the dump waits")
        began = time.monotonic()
        process.terminate()
        assert process.communicate(timeout=20)[1].startswith(f"{name} was asked to end")
    assert (process.returncode, time.monotonic() - began < 10) == (143, True)
    assert [path.name for path in folder.iterdir()] == [".lock"]


def refused(pod: Pod, name: str = "backup-notes", **more: Any) -> list[str]:
    status, out, err = pod.run(name, **more)
    assert (status, len(err)) == (1, 1), (out, err)
    return err
