"""Whether drills are in order: by the jobs, notes and evidence that are written down."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from keelson.agent import jobs, state
from keelson.agent.jobs import Job
from keelson.agent.state import JobState
from keelson.backups import overview
from keelson.backups.drills import evidence
from keelson.backups.drills.evidence import Drill
from keelson.backups.store import Store
from keelson.cli.status import screen
from keelson.endpoint import Reference
from keelson.settings.backup import BackupSettings
from keelson.settings.stack import Stack, StackSettings
from keelson.status import DatabaseStatus, DrillStatus, StackStatus
from keelson.status.backups import Backups

KEY = "keelson-dev"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
SUNDAY = datetime(2026, 11, 15, 4, tzinfo=UTC)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    for name in ("STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    settings = StackSettings.model_validate({"environment": "dev", "target": "local"})
    return Stack(project="keelson", name="dev", root=tmp_path, settings=settings, databases={})


def register(at: datetime) -> None:
    reference = Reference(stack=KEY, target="local", server="main", database="auth")
    jobs.put(KEY, Job("drill-auth", "drill", reference, "0 4 * * 0", registered=at.timestamp()))


def keep(at: datetime, *differences: str) -> Drill:
    seconds = {"server": 1.0, "roles": 0.5, "restore": 2.0, "compare": 9.0}
    drill = Drill(KEY, "auth", "20261115T020000Z", at, at + timedelta(seconds=13), differences, seconds=seconds)
    evidence.keep(Store(KEY), drill)
    return drill


def status(stack: Stack) -> DrillStatus:
    return Backups(stack).drills_of("auth", NOON)


def test_a_database_whose_first_drill_is_not_due_yet_has_no_fault(stack: Stack) -> None:
    register(NOON - timedelta(days=3))
    assert status(stack) == DrillStatus(due=datetime(2026, 11, 22, 4, tzinfo=UTC))


def test_a_good_drill_tells_its_age_and_how_long_a_recovery_takes(stack: Stack) -> None:
    register(NOON - timedelta(days=30))
    keep(SUNDAY + timedelta(minutes=1))
    found = status(stack)
    assert (found.last, found.recovery_seconds, found.fault) == (SUNDAY + timedelta(minutes=1), 2.5, "")


def test_a_drill_that_was_not_made_when_it_was_due_is_overdue(stack: Stack) -> None:
    register(NOON - timedelta(days=30))
    assert "a drill of auth was due at 2026-11-15 04:00 UTC, and there was none" in status(stack).fault
    keep(SUNDAY - timedelta(days=7))
    assert "the last one is of 2026-11-08 04:00 UTC; run `keelson backup drill auth`" in status(stack).fault


def test_a_drill_that_found_something_is_a_fault_until_a_good_one(stack: Stack) -> None:
    register(NOON - timedelta(days=3))
    keep(SUNDAY, "t has 1 row in place of 2 rows", "another")
    said = "the last drill of auth found 2 differences to the backup 20261115T020000Z: t has 1 row in place of 2 rows"
    assert status(stack).fault == said
    keep(SUNDAY + timedelta(hours=1))
    assert status(stack).fault == ""


def test_a_drill_of_a_clock_that_was_wrong_hides_no_later_one_and_proves_nothing_for_now(stack: Stack) -> None:
    register(NOON - timedelta(days=30))
    keep(NOON + timedelta(days=400))
    due = "a drill of auth was due at 2026-11-15 04:00 UTC, and the last one is of 2027-12-25 12:00 UTC"
    assert status(stack).fault == f"{due}; run `keelson backup drill auth`"
    keep(SUNDAY + timedelta(minutes=1), "public.t has 1 row in place of 2")
    assert "found 1 difference to the backup 20261115T020000Z" in status(stack).fault
    keep(NOON)
    assert (status(stack).last, status(stack).fault) == (NOON, "")


def test_a_drill_that_could_not_be_made_is_a_fault_until_a_good_one(stack: Stack) -> None:
    register(NOON - timedelta(days=30))
    begun = SUNDAY.timestamp()
    state.write(KEY, "drill-auth", JobState(begun=begun, ended=begun + 1, error="no room", failures=1))
    assert status(stack).fault == "the last drill of auth failed: no room"
    keep(SUNDAY + timedelta(hours=1))
    assert status(stack).fault == ""


def test_what_is_known_of_drills_comes_from_inside_as_it_is(stack: Stack) -> None:
    register(NOON)
    drill = keep(SUNDAY, "one")
    found = overview.overview(stack.key, ["auth"], None)
    assert found.of("auth").drill == drill
    assert set(found.kept) == {"auth"}
    assert overview.from_values(json.loads(json.dumps(found.values()))) == found


@pytest.mark.parametrize(
    ("said", "environment", "schedule"),
    [
        (None, "dev", "0 2 * * *"),
        (None, "prod", "0 4 * * 0"),
        ("weekly", "dev", "0 4 * * 0"),
        ("after-backup", "prod", "0 2 * * *"),
        ("never", "prod", ""),
        ("30 5 1 * *", "dev", "30 5 1 * *"),
    ],
)
def test_drills_are_weekly_and_in_dev_after_each_backup(said: str | None, environment: str, schedule: str) -> None:
    assert BackupSettings(drill=said).drill_schedule(environment) == schedule


def test_a_schedule_of_drills_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match=r"write five fields such as '0 2 \* \* \*', or after-backup, weekly or never"):
        BackupSettings(drill="sometimes")
    with pytest.raises(ValueError, match=r"backup\.drill is for databases"):
        StackSettings.model_validate(
            {"environment": "dev", "target": "local", "redis": {"redis": {"backup": {"drill": "weekly"}}}}
        )


def test_the_screen_says_how_old_the_proofs_are_and_what_the_longest_recovery_takes() -> None:
    now = datetime.now(UTC)
    databases = (
        DatabaseStatus("auth", "main", drill=DrillStatus(now - timedelta(days=3), 2.5)),
        DatabaseStatus("market", "main", drill=DrillStatus(now, 4.2)),
        DatabaseStatus("notes", "main"),
    )
    console = Console(width=80, file=io.StringIO())
    console.print(screen(StackStatus("keelson-dev", "dev", "local", now, databases=databases)))
    said = console.file.getvalue()
    assert "drills: 2 of 3, oldest 3 d ago, slowest 4.2 s (market)" in said
