"""The provider of backup jobs, in the real provider process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keelson import paths
from keelson.agent import jobs
from keelson.backups import keys, terms
from keelson.backups.terms import SECRET, Bucket, Terms
from keelson.endpoint import Reference
from keelson.local import registry
from providers.backup_job import BackupJobProvider
from providers.drill_job import DrillJobProvider
from tests.providers.process import ProviderProcess

KEY = "jobs-dev"
GIVEN: dict[str, Any] = {
    "reference": Reference(stack=KEY, target="local", server="main", database="notes").as_input(),
    "name": "notes",
    "engine": "postgres",
    "schedule": "0 2 * * *",
    "time_zone": "UTC",
    "keep_days": 30,
    "keep_at_least": 3,
    "directory": "",
}
KIND = BackupJobProvider()


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderProcess]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    paths.private_directory(registry.directory(KEY))
    with ProviderProcess(tmp_path, dict(os.environ)) as process:
        yield process


def test_a_job_is_written_down_changed_and_struck_out(provider: ProviderProcess) -> None:
    inputs, failures = provider.check(KIND, {}, GIVEN)
    assert not failures
    identity, state = provider.create(KIND, inputs)
    [job] = jobs.every(KEY)
    assert identity == "jobs-dev/backup-notes"
    assert (job.name, job.kind, job.schedule, job.time_zone) == ("backup-notes", "backup", "0 2 * * *", "UTC")
    assert dict(job.settings) == {"keep_days": 30, "keep_at_least": 3, "directory": ""}
    assert not provider.diff(KIND, identity, state, inputs)
    changed = inputs | {"schedule": "0 5 * * *", "time_zone": "Europe/Berlin", "keep_days": 7}
    assert provider.diff(KIND, identity, state, changed)
    state = provider.update(KIND, identity, state, changed)
    [after] = jobs.every(KEY)
    assert (after.schedule, after.time_zone, after.settings["keep_days"]) == ("0 5 * * *", "Europe/Berlin", 7)
    assert after.registered == job.registered
    for _ in range(2):
        provider.delete(KIND, identity, state)
        assert jobs.every(KEY) == []


def test_whom_backups_are_encrypted_to_is_a_change_and_is_written_down_for_all(provider: ProviderProcess) -> None:
    identity, state = provider.create(KIND, GIVEN)
    assert terms.read(KEY) == Terms()
    assert keys.read(KEY).signing
    changed = GIVEN | {"terms": {"recipients": ["age1someone"]}}
    assert provider.diff(KIND, identity, state, changed)
    state = provider.update(KIND, identity, state, changed)
    assert not provider.diff(KIND, identity, state, changed)
    assert terms.read(KEY) == Terms(recipients=("age1someone",))
    provider.update(KIND, identity, state, GIVEN)
    assert terms.read(KEY) == Terms()


def test_the_secret_of_a_bucket_is_kept_with_the_passwords_and_in_no_job(provider: ProviderProcess) -> None:
    bucket = {"name": "shop", "access_key": "a-key", "endpoint": "https://s3.example.org"}
    given = GIVEN | {"terms": {"recipients": [], "bucket": bucket}, "bucket_secret": "secret-of-the-key"}
    identity, state = provider.create(KIND, given)
    assert registry.Registry(KEY).password(SECRET, "a-key") == "secret-of-the-key"
    assert terms.read(KEY).bucket == Bucket(**bucket)
    kept = [path for path in registry.directory(KEY).rglob("*") if path.is_file() and path.name != "secrets.json"]
    assert kept
    assert not [path for path in kept if "secret-of-the-key" in path.read_text()]
    assert provider.diff(KIND, identity, state, given | {"bucket_secret": "another"})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schedule": "often"}, "the schedule 'often' cannot be read; write five fields such as '0 2 * * *'"),
        ({"time_zone": "Mars"}, "the time zone 'Mars' is not known; write a name such as UTC or Europe/Berlin"),
    ],
)
def test_a_schedule_that_cannot_be_read_fails_the_preview(
    provider: ProviderProcess, changes: dict[str, str], sentence: str
) -> None:
    assert provider.check(KIND, {}, GIVEN | changes)[1] == [sentence]


def test_what_was_lost_or_damaged_reads_as_gone_and_what_was_edited_as_it_is(provider: ProviderProcess) -> None:
    identity, state = provider.create(KIND, GIVEN)
    assert provider.read(KIND, identity, state) == (identity, state)
    file = jobs.directory(KEY) / "backup-notes.json"
    text = file.read_text()
    file.write_text(text.replace("0 2 * * *", "0 9 * * *"))
    _, edited = provider.read(KIND, identity, state)
    assert edited["schedule"] == "0 9 * * *"
    assert provider.diff(KIND, identity, edited, GIVEN)
    file.write_text("{")
    assert provider.read(KIND, identity, state) == ("", {})
    file.unlink()
    assert provider.read(KIND, identity, state) == ("", {})
    provider.create(KIND, GIVEN)
    assert [job.name for job in jobs.every(KEY)] == ["backup-notes"]


def test_a_damaged_file_of_another_job_is_no_obstacle(provider: ProviderProcess) -> None:
    paths.private_directory(jobs.directory(KEY))
    (jobs.directory(KEY) / "backup-other.json").write_text("{")
    identity, state = provider.create(KIND, GIVEN)
    assert provider.read(KIND, identity, state)[0] == identity
    assert [job.name for job in jobs.read(KEY)[0]] == ["backup-notes"]


def test_a_drill_is_written_down_with_its_checks_and_changed_with_them(provider: ProviderProcess) -> None:
    kind = DrillJobProvider()
    given = {name: GIVEN[name] for name in ("reference", "name", "schedule", "time_zone", "directory")}
    inputs, failures = provider.check(kind, {}, given | {"checks": {"a.sql": "SELECT 1 WHERE false"}})
    assert not failures
    identity, state = provider.create(kind, inputs)
    [job] = jobs.every(KEY)
    assert identity == "jobs-dev/drill-notes"
    assert (job.name, job.kind, job.settings["checks"]) == ("drill-notes", "drill", {"a.sql": "SELECT 1 WHERE false"})
    assert not provider.diff(kind, identity, state, inputs)
    assert provider.read(kind, identity, state) == (identity, state)
    changed = inputs | {"checks": {"a.sql": "SELECT 2 WHERE false"}}
    assert provider.diff(kind, identity, state, changed)
    state = provider.update(kind, identity, state, changed)
    assert jobs.every(KEY)[0].settings["checks"] == {"a.sql": "SELECT 2 WHERE false"}
    provider.delete(kind, identity, state)
    assert jobs.every(KEY) == []
