"""Whether a backup is overdue in the nights when clocks change: where a CronJob makes it, by how that reads its schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keelson.agent.jobs import Job
from keelson.backups.overdue import overdue
from keelson.endpoint import Reference


def _overdue(place: str, last: str, now: str) -> bool:
    reference = Reference(stack="keelson-prod", target=place, server="main", database="auth")
    job = Job("backup-auth", "backup", reference, "30 2 * * *", "Europe/Berlin", registered=1.0)
    return bool(overdue(job, datetime.fromisoformat(last), datetime.fromisoformat(now)))


@pytest.mark.parametrize(
    ("place", "last", "now", "told"),
    [
        # 29 March 2026, 02:00 CET becomes 03:00 CEST: the agent runs it then, a CronJob not before the next day
        ("local", "2026-03-28T01:30:05Z", "2026-03-29T12:00Z", True),
        ("kubernetes:prod", "2026-03-28T01:30:05Z", "2026-03-29T12:00Z", False),
        ("kubernetes:prod", "2026-03-28T01:30:05Z", "2026-03-30T12:00Z", True),
        # 25 October 2026, 03:00 CEST becomes 02:00 CET: the agent runs it once, a CronJob twice
        ("local", "2026-10-25T00:30:05Z", "2026-10-25T12:00Z", False),
        ("kubernetes:prod@far", "2026-10-25T01:30:05Z", "2026-10-25T12:00Z", False),
        ("kubernetes:prod@far", "2026-10-25T00:30:05Z", "2026-10-25T02:29Z", False),
    ],
)
def test_no_run_is_expected_that_nothing_begins(place: str, last: str, now: str, *, told: bool) -> None:
    assert _overdue(place, last, now) == told


def test_a_backup_from_the_future_by_a_clock_that_was_wrong_is_no_excuse() -> None:
    job = Job(
        "backup-auth", "backup", Reference(stack="s", target="local", server="main", database="auth"), "0 2 * * *"
    )
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    said = overdue(job, now + timedelta(days=400), now)
    assert said.startswith(
        "a backup of auth was due at 2026-11-20 02:00 UTC, and the last good one is of 2027-12-25 12:00 UTC"
    )
    assert not overdue(job, now + timedelta(seconds=50), now)
