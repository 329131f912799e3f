"""Names, locks and retention, with backups that were written long ago by the clock of then; no server."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keelson.backups import manifest as manifests
from keelson.backups.folder import Folder
from keelson.backups.manifest import Manifest
from keelson.backups.retention import Retention, prune, removable
from keelson.backups.store import Backup, Store
from keelson.errors import BackupError, DamagedError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WEEK = Retention(keep_days=7, keep_at_least=3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store("shop-dev", tmp_path)


def put(store: Store, begun: datetime, *, good: bool = True, name: str = "auth") -> Backup:
    """Write a backup as `making` would at that moment, without a database."""
    with store.writing(name) as parent:
        path = parent / store.new_id(name, begun)
        path.mkdir(mode=0o700)
        folder = Folder(path)
        with folder.create("data") as file:
            file.write(b"rows")
        manifests.write(
            path,
            Manifest(path.name, store.key, name, "postgres", "manual", begun, begun, folder.files, {"public.t": 1}),
        )
    backup = Backup(path)
    if not good:
        backup.note("its rows are gone")
    return backup


def days_ago(*days: float) -> Iterator[datetime]:
    return (NOW - timedelta(days=count) for count in days)


def ids(backups: list[Backup]) -> list[str]:
    return [backup.id for backup in backups]


def test_the_newest_comes_first_and_only_good_ones_count_as_the_last(store: Store) -> None:
    first, second = (put(store, begun) for begun in days_ago(2, 1))
    damaged = put(store, NOW, good=False)
    assert ids(store.all("auth")) == [damaged.id, second.id, first.id]
    assert store.last("auth") == second
    assert store.find("auth") == second
    assert store.find("auth", first.id) == first
    assert store.names() == ["auth"]
    assert store.last("nothing") is None


def test_what_cannot_be_found_is_named_with_what_is_there(store: Store) -> None:
    made = put(store, NOW)
    with pytest.raises(BackupError, match=f"no backup 2020 of auth under .*; the newest are: {made.id}"):
        store.find("auth", "2020")
    with pytest.raises(BackupError, match=r"no good backup of nothing .* run `keelson backup run nothing`"):
        store.find("nothing")


def test_ids_rise_whatever_the_clock_says(store: Store) -> None:
    moments = [NOW, NOW, NOW + timedelta(days=1), NOW, NOW - timedelta(days=365)]
    made = [put(store, moment) for moment in moments]
    assert ids(made) == sorted(set(ids(made)))
    assert store.last("auth") == made[-1]
    assert made[0].id == "20261121T120000Z"


def test_old_ones_go_but_never_fewer_than_are_to_be_kept_at_least(store: Store) -> None:
    made = [put(store, begun) for begun in days_ago(30, 20, 10, 9, 8)]
    gone = prune(store, "auth", WEEK, NOW)
    assert ids(gone) == ids([made[1], made[0]])
    assert ids(store.all("auth")) == ids([made[4], made[3], made[2]])
    assert prune(store, "auth", WEEK, NOW) == []
    assert not list((store.directory / "auth").glob(".*.removed"))


def test_young_ones_stay_however_many(store: Store) -> None:
    for begun in days_ago(6.9, 5, 4, 3, 2, 1, 0):
        put(store, begun)
    assert removable(store.all("auth"), WEEK, NOW) == []


def test_damaged_ones_never_count_and_go_only_when_enough_good_ones_are_there(store: Store) -> None:
    old = [put(store, begun) for begun in days_ago(40, 39)]
    damaged = [put(store, begun, good=False) for begun in days_ago(20, 19, 18)]
    assert removable(store.all("auth"), WEEK, NOW) == []
    newest = put(store, NOW)
    assert set(ids(removable(store.all("auth"), WEEK, NOW))) == set(ids(damaged))
    (newest.path / "manifest.json").write_text("{}")
    assert removable(store.all("auth"), WEEK, NOW) == []
    assert store.last("auth") == old[1]


def test_with_no_backup_or_only_damaged_ones_nothing_goes(store: Store) -> None:
    assert removable(store.all("auth"), WEEK, NOW) == []
    for begun in days_ago(50, 40, 30, 20):
        put(store, begun, good=False)
    assert removable(store.all("auth"), WEEK, NOW) == []


@pytest.mark.parametrize("moved", [timedelta(days=1), timedelta(days=-1), timedelta(days=3650), timedelta(days=-3650)])
def test_a_clock_that_was_moved_takes_none_that_is_to_be_kept(store: Store, moved: timedelta) -> None:
    made = [put(store, begun) for begun in days_ago(20, 4, 3, 2, 1)]
    kept = {backup.id for backup in store.all("auth")} - set(ids(removable(store.all("auth"), WEEK, NOW + moved)))
    assert set(ids(made[2:])) <= kept
    if abs(moved) <= timedelta(days=1):
        assert set(ids(made[1:])) <= kept


def test_backups_of_a_clock_that_was_wrong_take_no_others_with_them(store: Store) -> None:
    usual = [put(store, begun) for begun in days_ago(3, 2)]
    future = put(store, NOW + timedelta(days=400))
    past = put(store, datetime(1970, 1, 2, tzinfo=UTC))
    later = [put(store, begun) for begun in days_ago(1.5, 1, 0)]
    gone = ids(removable(store.all("auth"), WEEK, NOW))
    assert gone == [past.id]
    assert store.last("auth") == later[-1]
    assert future.id < later[0].id
    assert set(ids(usual)).isdisjoint(gone)


def test_one_that_is_read_stays_until_it_is_not(store: Store) -> None:
    oldest, *_ = [put(store, begun) for begun in days_ago(30, 3, 2, 1)]
    with oldest.held(), oldest.held():
        assert prune(store, "auth", WEEK, NOW) == []
    assert prune(store, "auth", WEEK, NOW) == [oldest]
    with pytest.raises(DamagedError, match="is no backup"), oldest.held():
        _ = oldest.path.exists() or Backup(oldest.path).manifest


def test_a_pinned_one_stays_however_old_until_it_is_unpinned(store: Store) -> None:
    oldest, *rest = [put(store, begun) for begun in days_ago(30, 20, 3, 2, 1)]
    oldest.pin("before the merger")
    assert (oldest.pinned, rest[0].pinned, oldest.fault) == ("before the merger", "", "")
    assert ids(prune(store, "auth", WEEK, NOW)) == [rest[0].id]
    assert Backup(oldest.path).pinned == "before the merger"
    oldest.unpin()
    oldest.unpin()
    assert prune(store, "auth", WEEK, NOW) == [oldest]


def test_a_pin_that_comes_while_old_ones_go_holds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    oldest, *_ = [put(store, begun) for begun in days_ago(30, 3, 2, 1)]
    remove = Backup.remove

    def pinned_meanwhile(backup: Backup) -> bool:
        backup.pin("in time")
        return remove(backup)

    monkeypatch.setattr(Backup, "remove", pinned_meanwhile)
    assert prune(store, "auth", WEEK, NOW) == []
    assert oldest in store.all("auth")


def test_one_that_is_gone_or_damaged_is_not_pinned(store: Store) -> None:
    made = put(store, NOW)
    (made.path / "manifest.json").write_text("{}")
    with pytest.raises(DamagedError, match="cannot be understood"):
        Backup(made.path).pin("why not")


def test_more_than_are_to_be_kept_at_most_go_though_they_are_young(store: Store) -> None:
    made = [put(store, begun) for begun in days_ago(5, 4, 3, 2, 1, 0)]
    damaged = put(store, NOW, good=False)
    most = Retention(keep_days=7, keep_at_least=3, keep_at_most=4)
    assert ids(removable(store.all("auth"), most, NOW)) == ids([made[1], made[0]])
    assert damaged in store.all("auth")
    assert ids(prune(store, "auth", most, NOW)) == ids([made[1], made[0]])
    assert removable(store.all("auth"), most, NOW) == []


def test_a_second_writer_is_refused_and_told_who_is_at_work(store: Store) -> None:
    with store.writing("auth"):
        with pytest.raises(
            BackupError, match=rf"process {os.getpid()} since .* is at work on the backups of auth; wait"
        ):
            put(store, NOW)
        with pytest.raises(BackupError, match="is at work on the backups of auth"):
            prune(store, "auth", WEEK, NOW)
        put(store, NOW, name="other")
    put(store, NOW)


def test_what_a_killed_writer_left_goes_with_the_next_run(store: Store) -> None:
    script = (
        "import sys, signal, pathlib\n"
        "from keelson.backups.store import Store\n"
        "with Store('shop-dev', pathlib.Path(sys.argv[1])).writing('auth') as folder:\n"
        "    (folder / '.20260101T000000Z.partial').mkdir()\n"
        "    print('ready', flush=True)\n"
        "    signal.pause()\n"
    )
    command = [sys.executable, "-c", script, str(store.directory.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(BackupError, match=f"process {process.pid} since"):
            put(store, NOW)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert store.all("auth") == []
    made = put(store, NOW)
    assert sorted(path.name for path in (store.directory / "auth").iterdir()) == [".lock", made.id]


def test_all_of_it_is_private(store: Store) -> None:
    made = put(store, NOW)
    made.note()
    assert {path.stat().st_mode & 0o777 for path in (store.directory, made.path.parent, made.path)} == {0o700}
    files = [*made.path.iterdir(), made.path.parent / ".lock"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"counts": {"public.t": 2}}, "was changed after the backup was made"),
        ({"begun": "2030-01-01T00:00:00+00:00"}, "was changed after the backup was made"),
        ({"format": 4}, "has the format 4, and this version reads 3 at most"),
        ({"sha256": None}, "was changed after the backup was made"),
    ],
)
def test_a_manifest_that_was_edited_is_told_apart(store: Store, change: dict[str, object], said: str) -> None:
    made = put(store, NOW)
    path = made.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    again = Backup(made.path)
    assert said in again.fault
    assert again.begun == NOW
    assert store.last("auth") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"sha256": ""}', "\x00\x01"])
def test_a_manifest_that_is_no_manifest_is_told_apart(store: Store, text: str) -> None:
    made = put(store, NOW)
    (made.path / "manifest.json").write_text(text)
    assert "cannot be understood" in Backup(made.path).fault


def test_a_manifest_reads_back_as_it_was_written(store: Store) -> None:
    made = put(store, NOW)
    read = Backup(made.path).manifest
    assert dataclasses.asdict(read)["counts"] == {"public.t": 1}
    assert read.begun == NOW
    assert read.files["data"].bytes == 4


def test_a_full_disk_or_a_wrong_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match="cannot list the backups"):
        Store("shop-dev", tmp_path / "file").all("auth")
    (tmp_path / "data").write_text("")
    with (
        pytest.raises(BackupError, match=r"cannot write data of the backup .*: File exists"),
        Folder(tmp_path).create("data"),
    ):
        pass
