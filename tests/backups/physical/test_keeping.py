"""What an archive lets go, and what a clock that was wrong does to it."""

from __future__ import annotations

import shutil

import pytest

from keelson.backups.physical import making, state
from keelson.endpoint import Reference
from keelson.errors import BackupError
from keelson.local import archive
from tests.local.conftest import LocalStack

REFERENCE = Reference(stack="physical-dev", target="local", server="main")
LIMIT = 2**40
FUTURE = "20361122-000000F"


def test_what_would_go_is_told_and_stays_and_one_backup_can_be_let_go(archived: LocalStack) -> None:
    making.back_up(archived.key, "main", full=True)
    last = making.back_up(archived.key, "main", full=False)
    place, _ = archive.find(archived.key, "main")
    before = [each.label for each in making.every(archived.key, "main")[0].inventory.backups]
    told = making.prune(archived.key, "main", last.label, dry_run=True)
    assert any(last.label in line for line in told), told
    assert [each.label for each in making.every(archived.key, "main")[0].inventory.backups] == before
    assert any(last.label in line for line in making.prune(archived.key, "main", last.label, dry_run=False))
    assert [each.label for each in making.every(archived.key, "main")[0].inventory.backups] == before[:-1]
    assert not list(place.repository.glob(f"backup/main/backup.history/*/{last.label}*"))
    assert not making.prune(archived.key, "main", dry_run=True)
    with pytest.raises(BackupError, match="has no backup 'none'; `keelson backup list --server main` shows"):
        making.prune(archived.key, "main", "none", dry_run=True)


def test_a_backup_of_the_future_is_said_with_what_to_do(archived: LocalStack) -> None:
    """pgBackRest goes by the names in its history: one of the future keeps it from making a full backup."""
    place, _ = archive.find(archived.key, "main")
    history = place.repository / "backup" / "main" / "backup.history" / FUTURE[:4]
    kept = place.repository / "backup" / "main" / FUTURE
    history.mkdir()
    (history / f"{FUTURE}.manifest.gz").touch()
    kept.mkdir()
    (kept / "backup.manifest").touch()
    try:
        assert "the newest backup of server main is of 2036-11-22 00:00 UTC, which is in the future" in _fault()
        shutil.rmtree(kept)  # which pgBackRest would read, and a test cannot write
        with pytest.raises(BackupError, match=f"a backup of the future .{FUTURE}., made while a clock was wrong"):
            making.back_up(archived.key, "main", full=True)
        assert making.prune(archived.key, "main", FUTURE, dry_run=False) == [f"expire {FUTURE} from the history"]
        making.back_up(archived.key, "main", full=True)
    finally:
        shutil.rmtree(history)
        shutil.rmtree(kept, ignore_errors=True)
    assert not _fault()


def _fault() -> str:
    return state.look(REFERENCE, LIMIT).fault
