"""Backups, drills, restores and prunes that are killed at any moment: what is listed restores, the live database is whole, the next run works."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keelson import paths
from keelson.backups import manifest as manifests
from keelson.backups.copies import copies, discard_copy
from keelson.backups.drills import evidence
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.making import verify
from keelson.backups.retention import Retention, prune
from keelson.backups.store import Backup
from keelson.backups.swapping import finish, restore_over
from keelson.endpoint import resolve
from tests.backups.conftest import Subject
from tests.backups.test_drills import scratch_left, servers_of, short_home  # noqa: F401 - a fixture
from tests.backups.test_swapping import count, destination, live  # noqa: F401 - a fixture
from tests.stack.harness import wait_until

ROWS, LEFT = 20_000, 100
OLD = 6  # backups that may go
KEPT = Retention(keep_days=0, keep_at_least=2)
KILLS = 50
SEED = 42
AFTER = 1.1  # of the time that a run takes: the last moments are those after its end
PROGRAM = """
import os, signal, sys
from pathlib import Path
from keelson.backups import dumping, rows
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.engines import Destination
from keelson.backups.making import Source, back_up, restore
from keelson.backups.retention import Retention, prune
from keelson.backups.store import Store
from keelson.backups.swapping import copy_name, restore_over
from keelson.endpoint import Reference

what, service, directory, identity, last = *sys.argv[1:5], int(sys.argv[5])
dumping.WORTH, rows.LARGE = 0, -1  # two streams, as of a large database
server = Reference(stack="backups-dev", target="local", server="main")
store = Store("backups-dev", Path(directory))

def beside(name):
    return Destination(service, server.to(database=name))

def swap():
    backup = store.find(service, identity)
    restore_over(backup, beside(copy_name(service, backup)))

work = {
    "backup": lambda: back_up(Source("postgres", server.to(database=service)), store, "manual"),
    "drill": lambda: drill(store.find(service), Plan(store, "local")),
    "restore": lambda: restore(store.find(service), beside(f"{service}_copy")),
    "swap": swap,
    "prune": lambda: prune(store, service, Retention(0, 2)),
}[what]
steps = 0

def count(event, arguments):
    global steps
    steps += event.startswith(("os.", "shutil.", "open"))
    if steps == last != 0:
        os.kill(os.getpid(), signal.SIGKILL)

print("begins", flush=True)
sys.addaudithook(count)
work()
print(steps, flush=True)
"""


@dataclass(frozen=True)
class Run:
    """A program that does one thing with the backups of a service."""

    subject: Subject
    what: str
    identity: str = ""

    def whole(self) -> tuple[float, int]:
        """Let it come to its end; return how long that took, in seconds and in calls of the operating system."""
        with self._begun() as process:
            began = time.monotonic()
            told, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            return time.monotonic() - began, int(told)

    def killed_after(self, seconds: float, *, with_children: bool) -> None:
        """Kill it so long after its beginning, alone or with all that it started."""
        with self._begun() as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                (os.killpg if with_children else os.kill)(process.pid, signal.SIGKILL)

    def killed_at(self, step: int) -> None:
        """Kill it where it is about to make this call of the operating system."""
        with self._begun(step) as process:
            process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL

    def _begun(self, last: int = 0) -> subprocess.Popen[str]:
        directory = str(self.subject.store.directory.parent)
        words = [self.what, self.subject.name, directory, self.identity, str(last)]
        command = [sys.executable, "-c", PROGRAM, *words]
        process = subprocess.Popen(
            command, env=dict(os.environ), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout
        assert process.stdout.readline() == "begins\n"
        return process


def by_chance() -> Sequence[float]:
    chance = random.Random(SEED)
    return [chance.random() for _ in range(KILLS)]


def at_moments(*sample: float) -> pytest.MarkDecorator:
    """Run with a few moments, as parts of the time that a run takes, or in a soak with fifty."""
    soak = pytest.param(by_chance(), marks=[pytest.mark.soak, pytest.mark.timeout(3600)], id="fifty")
    return pytest.mark.parametrize("moments", [pytest.param(sample, id="sample"), soak])


def kills(run: Run, moments: Sequence[float], seconds: float) -> Iterator[int]:
    """Kill a run that takes so long at each moment, every other time with its children; give the number of each."""
    for number, moment in enumerate(moments):
        run.killed_after(moment * seconds * AFTER, with_children=bool(number % 2))
        yield number


def rows_of(subject: Subject, database: str = "") -> tuple[int, str]:
    """How many rows there are, and what they hold."""
    with subject.connect(database) as connection:
        row = connection.execute("SELECT count(*), md5(string_agg(a || b, ' ' ORDER BY a)) FROM t").fetchone()
    assert row
    return row


def comes_back(subject: Subject, backup: Backup) -> bool:
    """Whether a backup can be restored, with all rows."""
    copy = subject.restore(backup, f"{subject.name}_proof").reference.database
    try:
        return rows_of(subject, copy) == rows_of(subject)
    finally:
        discard_copy(subject.administrator, subject.name, copy)


def listed_copies(subject: Subject) -> list[str]:
    with resolve(subject.administrator).connect() as admin:
        return [copy.name for copy in copies(admin) if copy.service == subject.name]


def settled(subject: Subject) -> None:
    """Wait until the server has let go of what a killed program did."""

    def others() -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('keelson restore', 'pg_restore')"
        with resolve(subject.administrator).connect() as admin:
            return int((admin.execute(query).fetchone() or (1,))[0])

    wait_until(lambda: not others(), "the server has let go", 20)


@pytest.fixture
def halves(filled: Subject, split: None) -> Subject:  # noqa: ARG001 - what it does is needed
    """A database whose backups have two files."""
    with filled.connect() as admin:
        admin.execute("CREATE TABLE u AS TABLE t; ALTER TABLE u ADD PRIMARY KEY (a)")
    return filled


@at_moments(0.3, 0.6, 0.95)
def test_a_backup_that_is_killed_is_listed_only_if_it_restores(halves: Subject, moments: Sequence[float]) -> None:
    filled, before = halves, rows_of(halves)
    run = Run(filled, "backup")
    for _ in kills(run, moments, run.whole()[0]):
        assert all(comes_back(filled, each) for each in filled.store.all(filled.name)[:-1])
        assert comes_back(filled, made := filled.back_up())
        assert {path.name for path in filled.folder.iterdir()} - {".lock"} == {
            each.id for each in filled.store.all(filled.name)
        }
        assert rows_of(filled) == before
        for each in filled.store.all(filled.name):
            assert each.id == made.id or each.remove()


@at_moments(0.3, 0.7)
def test_a_drill_that_is_killed_harms_no_backup_and_leaves_no_server(filled: Subject, moments: Sequence[float]) -> None:
    before, made = rows_of(filled), filled.back_up()
    run = Run(filled, "drill")
    for _ in kills(run, moments, run.whole()[0]):
        last = evidence.last(filled.store, filled.name)
        assert last is None or last.well
        assert not made.fault
        base = paths.data() / "scratch"
        wait_until(lambda base=base: not servers_of(base), "the throw-away server is gone")
        assert drill(made, Plan(filled.store, "local")).well
        assert scratch_left() == []
        assert rows_of(filled) == before


@at_moments(0.2, 0.5, 0.9)
def test_a_restore_that_is_killed_leaves_a_whole_copy_or_none(halves: Subject, moments: Sequence[float]) -> None:
    filled, before, made = halves, rows_of(halves), halves.back_up()
    copy = f"{filled.name}_copy"
    assert "data-2.dump" in made.manifest.files
    run = Run(filled, "restore")
    seconds, _ = run.whole()
    discard_copy(filled.administrator, filled.name, copy)
    for number in kills(run, moments, seconds):
        assert rows_of(filled) == before
        settled(filled)
        if copy in listed_copies(filled):
            assert rows_of(filled, copy) == before, number
            discard_copy(filled.administrator, filled.name, copy)
        filled.restore(made)
        assert rows_of(filled, copy) == before
        assert filled.databases() == {filled.name, copy}
        discard_copy(filled.administrator, filled.name, copy)


@at_moments(0.4, 0.8, 0.95)
def test_a_swap_that_is_killed_leaves_the_old_or_the_new_database(live: Subject, moments: Sequence[float]) -> None:  # noqa: F811
    made, whole = live.back_up(), rows_of(live)
    run = Run(live, "swap", made.id)
    seconds, _ = run.whole()
    emptied(live)
    for number in kills(run, moments, seconds):
        settled(live)
        found = rows_of(live)
        assert found == whole or found[0] == LEFT, number
        finish(live.administrator, live.name)
        if found != whole:
            restore_over(made, destination(live, made))
        assert rows_of(live) == whole
        assert count(live, login=live.roles.app_a) == ROWS
        [kept] = listed_copies(live)
        assert rows_of(live, kept)[0] == LEFT
        emptied(live)


def emptied(subject: Subject) -> None:
    """Leave few rows in the live database, and no other one."""
    for copy in listed_copies(subject):
        discard_copy(subject.administrator, subject.name, copy)
    assert subject.databases() == {subject.name}
    with subject.connect() as admin:
        admin.execute(f"DELETE FROM t WHERE a > {LEFT}")


@at_moments(0.3, 0.6, 0.9)
def test_a_prune_that_is_killed_takes_none_that_is_to_be_kept(filled: Subject, moments: Sequence[float]) -> None:
    before, made = rows_of(filled), filled.back_up()
    run = Run(filled, "prune")
    repeated(filled, made, OLD + 1)
    _, steps = run.whole()
    for moment in moments:
        every = repeated(filled, filled.store.find(filled.name), OLD)
        run.killed_at(1 + int(moment * (steps - 1)))
        listed = filled.store.all(filled.name)
        assert [each.id for each in listed[:2]] == every[:2]
        for each in listed:
            verify(each, "local")
        assert comes_back(filled, listed[-1])
        prune(filled.store, filled.name, KEPT)
        assert {path.name for path in filled.folder.iterdir()} - {".lock"} == set(every[:2])
        assert rows_of(filled) == before


def repeated(subject: Subject, backup: Backup, number: int) -> list[str]:
    """Keep the files of a backup as so many newer ones; return the ids of all, the newest first."""
    keys, _ = subject.store.seal()
    for _ in range(number):
        path = subject.folder / subject.store.new_id(subject.name, datetime.now(UTC))
        path.mkdir(mode=0o700)
        for name in backup.manifest.files:
            Path(path / name).write_bytes((subject.folder / backup.id / name).read_bytes())
        manifests.write(path, replace(backup.manifest, id=path.name), keys)
    return [each.id for each in subject.store.all(subject.name)]
