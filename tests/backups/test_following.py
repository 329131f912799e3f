"""A drill that is begun at the time of a backup waits for that, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keelson.agent import jobs
from keelson.agent.jobs import Job
from keelson.backups.drills.following import PAUSE, await_backup
from keelson.backups.store import Store
from keelson.endpoint import Reference
from tests.inside.state import keep_backup

KEY = "following-dev"
REFERENCE = Reference(stack=KEY, target="local", server="main", database="notes")
DRILL = Job("drill-notes", "drill", REFERENCE, "13 2 * * *")
KEPT = {"keep_days": 7, "keep_at_least": 3}


@dataclass
class Clock:
    """A clock that goes on while somebody waits, and a backup that is begun meanwhile."""

    now: float = datetime(2026, 5, 2, 2, 13, 4, tzinfo=UTC).timestamp()
    backup_at: float = 0
    waited: float = 0
    store: Store = field(default_factory=lambda: Store(KEY))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.waited += seconds
        if 0 < self.backup_at <= self.now:
            keep_backup(self.store, "notes", datetime.fromtimestamp(self.backup_at, UTC))
            self.backup_at = 0

    def waits(self) -> bool:
        return await_backup(DRILL, lambda: self.now, self.wait)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """02:13:04 on a day when the backup of the day before is there."""
    for name in ("STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    jobs.put(KEY, Job("backup-notes", "backup", REFERENCE, DRILL.schedule, settings=KEPT, registered=1))
    made = Clock()
    keep_backup(made.store, "notes", datetime(2026, 5, 1, 2, 13, 9, tzinfo=UTC))
    return made


def test_it_waits_for_the_backup_of_its_own_time(clock: Clock) -> None:
    clock.backup_at = clock.now + 60
    assert clock.waits()
    assert 60 <= clock.waited < 60 + 2 * PAUSE


def test_it_waits_no_longer_than_an_hour_after_both_were_due(clock: Clock) -> None:
    assert not clock.waits()
    assert 3500 < clock.waited < 3700
    assert not clock.waits()
    assert clock.waited < 3700, "what is begun by hand later waits for nothing"


def test_it_waits_for_no_backup_that_is_there_or_due_at_another_time(clock: Clock) -> None:
    keep_backup(clock.store, "notes", datetime(2026, 5, 2, 2, 13, 2, tzinfo=UTC))
    assert clock.waits()
    jobs.put(KEY, Job("backup-notes", "backup", REFERENCE, "0 2 * * *", settings=KEPT, registered=1))
    clock.now += 86400
    assert clock.waits()
    assert clock.waited == 0
