"""Whether backups are in time: by the jobs and states that are written down, and the backups that lie there."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keelson.agent import jobs, state
from keelson.agent.jobs import Job
from keelson.agent.state import JobState
from keelson.endpoint import Reference
from keelson.settings.stack import Stack, StackSettings
from keelson.status import BackupStatus
from keelson.status.backups import Backups

KEY = "keelson-dev"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    for name in ("STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    settings = StackSettings.model_validate({"environment": "dev", "target": "local"})
    return Stack(project="keelson", name="dev", root=tmp_path, settings=settings, databases={})


def register(at: datetime, schedule: str = "0 2 * * *") -> None:
    reference = Reference(stack=KEY, target="local", server="main", database="auth")
    jobs.put(KEY, Job("backup-auth", "backup", reference, schedule, registered=at.timestamp()))


def status(stack: Stack, now: datetime = NOON) -> BackupStatus:
    return Backups(stack).of("auth", now)


def test_a_database_that_is_younger_than_its_first_backup_has_no_fault(stack: Stack) -> None:
    register(NOON - timedelta(hours=5))
    assert status(stack) == BackupStatus(due=datetime(2026, 11, 21, 2, tzinfo=UTC))


def test_a_backup_that_was_not_made_when_it_was_due_is_overdue(stack: Stack) -> None:
    register(NOON - timedelta(days=2))
    assert "was due at 2026-11-20 02:00 UTC, and there is no good one" in status(stack).fault


def test_a_backup_is_not_overdue_while_it_may_still_be_made(stack: Stack) -> None:
    register(NOON - timedelta(days=2), schedule="30 11 * * *")
    register(datetime(2026, 11, 19, 11, 45, tzinfo=UTC), schedule="30 11 * * *")
    jobs.drop(KEY, "backup-auth")
    register(datetime(2026, 11, 19, 11, 45, tzinfo=UTC), schedule="30 11 * * *")
    assert status(stack).fault == ""


def test_a_backup_that_failed_is_a_fault_with_its_reason(stack: Stack) -> None:
    register(NOON - timedelta(hours=5))
    state.write(
        KEY, "backup-auth", JobState(begun=time.time(), ended=time.time(), error="the disk is full", failures=1)
    )
    assert status(stack).fault == "the last backup of auth failed: the disk is full"


def test_without_an_agent_nothing_is_overdue(stack: Stack) -> None:
    register(NOON - timedelta(days=2))
    without = stack.settings.model_copy(update={"agent": stack.settings.agent.model_copy(update={"enabled": False})})
    assert status(stack.model_copy(update={"settings": without})).fault == ""


def test_without_a_job_there_is_nothing_to_say(stack: Stack) -> None:
    assert status(stack) == BackupStatus()


def test_a_job_that_cannot_be_read_is_a_fault_of_the_stack(stack: Stack) -> None:
    register(NOON)
    (jobs.directory(KEY) / "backup-auth.json").write_text("{")
    assert "cannot be read" in Backups(stack).faults[0]
