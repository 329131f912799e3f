"""The provider of archives: what it compares, and what it asks of the agent."""

from __future__ import annotations

import time

import pytest

from keelson.endpoint import Reference
from keelson.errors import SettingsError
from providers import values
from providers.archive_job import ArchiveJobInputs, ArchiveJobProvider
from providers.local_server import LocalServerInputs, LocalServerProvider

GIVEN = {
    "reference": Reference(stack="jobs-dev", target="local", server="main").as_input(),
    "schedule": "0 1 * * *",
    "time_zone": "UTC",
    "full_every": 7.0,
    "directory": "",
    "keep_full": 2.0,
    "waiting": 1e9,
}
SERVER = {"key": "jobs-dev", "stack_id": "0", "server": "main", "version": "17", "data": "/data", "timescaledb": False}


def test_the_first_backup_is_due_from_the_start() -> None:
    job = values.decode(ArchiveJobInputs, GIVEN).job
    assert (job.name, job.kind) == ("archive-main", "archive")
    assert job.settings == {"full_every": 7, "waiting": 10**9, "at_once": True}
    assert time.time() - 60 < job.registered <= time.time()


def test_its_drill_is_a_job_of_its_own_with_the_checks_of_its_databases() -> None:
    more = {"drill": "0 4 * * 0", "databases": {"auth": {"one.sql": "SELECT 1"}}}
    job = values.decode(ArchiveJobInputs, GIVEN | more).drill_job
    assert (job.name, job.kind, job.schedule) == ("drill-server-main", "archive-drill", "0 4 * * 0")
    assert job.settings == {"databases": {"auth": {"one.sql": "SELECT 1"}}, "directory": ""}


def test_a_schedule_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(SettingsError):
        ArchiveJobProvider().examine({**GIVEN, "schedule": "never"}, {})


def test_an_older_state_without_an_archive_is_no_change_and_an_archive_is_one() -> None:
    kind = super(LocalServerProvider, LocalServerProvider())  # which leaves certificates out
    state = {**SERVER, "preferred_port": 5432.0, "listens_on": 5432.0}
    archiving = {"directory": "", "keep_full": 2.0, "waiting": 1e9}
    assert not kind.differs(state, {**SERVER, "preferred_port": 5432.0})
    assert kind.differs(state, {**SERVER, "preferred_port": 5432.0, "archiving": archiving})
    spec = values.decode(LocalServerInputs, {**SERVER, "archiving": archiving, "passphrase": "of the stack alone"}).spec
    assert (spec.archiving.waiting, spec.archiving.keep_full) == (10**9, 2)
    assert "of the stack alone" not in repr(spec)


def test_the_preview_says_that_an_archive_takes_a_restart(capfd: pytest.CaptureFixture[str]) -> None:
    archived = {**SERVER, "archiving": {"keep_full": 2}}
    LocalServerProvider().examine(archived, SERVER)
    assert "server main begins to archive its log, which takes a restart" in capfd.readouterr().out
    LocalServerProvider().examine(SERVER, archived)
    assert "server main no longer archives its log, which takes a restart" in capfd.readouterr().out
    LocalServerProvider().examine(archived, archived)
    LocalServerProvider().examine(archived, {})
    assert not capfd.readouterr().out
