"""Whether there is nothing to do is answered by one question, and only where that is sure."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelson import migrations
from keelson.migrations import hashes
from tests.migrations.project import Project


@pytest.fixture(autouse=True)
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this test's own, that few files and new ones get into."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "SETTLED", -(10**12))
    monkeypatch.setattr(hashes, "FEWEST", 1)


def is_current(project: Project) -> bool:
    with project.service.as_admin() as admin:
        return migrations.is_current(admin, migrations.digest_of(project.directory))


@pytest.fixture
def applied(project: Project) -> Project:
    project.write(_10_b="SELECT 1", _9_a="SELECT 2", _11_C="SELECT 3").apply()
    assert is_current(project)
    return project


def test_a_database_that_has_all_files_is_current(applied: Project) -> None:
    applied.write(_9_a="SELECT /* two */ 2")
    assert not is_current(applied), "a file that was not read yet is looked at"
    applied.files()
    assert is_current(applied), "a comment means nothing"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE schema_versions SET checksum = 'x' WHERE version = 9",
        "UPDATE schema_versions SET checksum = NULL WHERE version = 9",
        "UPDATE schema_versions SET file = NULL WHERE version = 9",
        "INSERT INTO schema_versions (version) VALUES (1)",
        "INSERT INTO schema_versions (version, file, checksum) VALUES (1, '1.sql', 'x')",
        "DELETE FROM schema_versions WHERE version = 11",
        "DELETE FROM schema_versions",
        "ALTER TABLE schema_versions DROP COLUMN text_checksum",
        "DROP TABLE schema_versions",
    ],
)
def test_another_ledger_is_looked_at(applied: Project, change: str) -> None:
    with applied.service.as_admin() as admin:
        admin.execute(change)
    assert not is_current(applied)


def test_another_file_is_looked_at(applied: Project) -> None:
    applied.write(_12="SELECT 4")
    applied.files()
    assert not is_current(applied)
    applied.path("12").unlink()
    assert is_current(applied)
    applied.write(_11_C="SELECT 5").files()
    assert not is_current(applied)
    applied.path("11_C").unlink()
    assert not is_current(applied)


def test_who_may_not_read_the_ledger_does_not_know(applied: Project) -> None:
    applied.service.open()
    digest = migrations.digest_of(applied.directory)
    with applied.service.as_admin() as admin:
        admin.execute("REVOKE ALL ON schema_versions FROM PUBLIC")
        admin.execute(f"REVOKE ALL ON schema_versions FROM {applied.service.roles.app_a}, {applied.service.roles.app}")
    with applied.service.as_login(applied.service.roles.app_a) as app:
        assert not migrations.is_current(app, digest)
