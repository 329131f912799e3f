"""A server restored as it was at a moment: beside the live one, and in its place."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from keelson.backups.physical import choosing, making
from keelson.errors import BackupError, KeelsonError, ServerError
from keelson.local import archive, configuration, recovery, server
from keelson.local.registry import Registry
from tests.local.conftest import LocalStack, wait_until

MAIN = "main"


class Writer:
    """Inserts 1, 2, 3 … one transaction each, and notes when each was begun and when it was acknowledged."""

    def __init__(self, local: LocalStack, first: int) -> None:
        self._local, self._next = local, first
        self.begun: dict[int, float] = {}
        self.acknowledged: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        self._thread.start()
        try:
            wait_until(lambda: self.acknowledged)
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def _write(self) -> None:
        while not self._stop.is_set():
            try:
                with server.connect(self._local.key, MAIN) as connection:
                    while not self._stop.is_set():
                        self._insert(connection)
            except psycopg.OperationalError:
                self._next += 1  # whether that one was written nobody knows
                time.sleep(0.01)

    def _insert(self, connection: psycopg.Connection) -> None:
        number = self._next
        self.begun[number] = time.time()
        connection.execute("INSERT INTO t VALUES (%s)", [number])
        self.acknowledged[number] = time.time()
        self._next += 1


def numbers(local: LocalStack, name: str = MAIN) -> set[int]:
    return {number for (number,) in local.execute("SELECT n FROM t", name)}


def now(local: LocalStack) -> datetime:
    found: datetime = local.execute("SELECT clock_timestamp()")[0][0]
    return found


def highest(local: LocalStack) -> int:
    return int(local.execute("SELECT coalesce(max(n), 0) FROM t")[0][0])


def test_what_is_restored_is_all_that_was_acknowledged_until_then_and_nothing_begun_later(archived: LocalStack) -> None:
    writer = Writer(archived, highest(archived) + 1)
    with writer.writing():
        making.back_up(archived.key, MAIN, full=True)
        seen = len(writer.acknowledged)
        wait_until(lambda: len(writer.acknowledged) > seen + 100)
        moment = datetime.now(UTC)
        wait_until(lambda: len(writer.acknowledged) > seen + 200)
        side = recovery.beside(archived.key, MAIN, moment)
    found, at = numbers(archived, side.name), moment.timestamp()
    assert {number for number, acknowledged in writer.acknowledged.items() if acknowledged < at} <= found
    assert not found & {number for number, begun in writer.begun.items() if begun > at}
    assert {number for number in found if number in writer.begun} == set(range(min(writer.begun), max(found) + 1))
    assert side.reached.last
    assert moment - side.reached.last < timedelta(seconds=5)


def test_nothing_that_was_acknowledged_is_lost_where_the_postmaster_is_killed_while_it_archives(
    archived: LocalStack,
) -> None:
    writer = Writer(archived, highest(archived) + 1)
    with writer.writing():
        for _ in range(3):
            archived.execute("SELECT pg_switch_wal()")
            pid, seen = archived.pid(), len(writer.acknowledged)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: archived.pid() not in {0, pid} and archived.answering())
            wait_until(lambda seen=seen: len(writer.acknowledged) > seen + 10)
    side = recovery.beside(archived.key, MAIN, None)
    assert set(writer.acknowledged) <= numbers(archived, side.name)
    assert making.verify(archived.key, MAIN)


def test_a_server_beside_archives_nothing_runs_no_job_and_lets_in_administrators_alone(archived: LocalStack) -> None:
    archived.execute(
        "DO $$ BEGIN CREATE ROLE somebody LOGIN PASSWORD 'somebody'; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    side = recovery.beside(archived.key, MAIN, None, into="other")
    assert (side.name, archived.answering("other")) == ("other", True)
    assert archived.execute("SHOW archive_command", "other") == [("/bin/true",)]
    assert archived.execute("SHOW max_worker_processes", "other") == [("0",)]
    assert not list((archive_of(archived).directory.parent / "other").rglob("*.ready"))
    with pytest.raises(psycopg.OperationalError, match="reject"):
        psycopg.connect(host="127.0.0.1", port=side.port, user="somebody", password="somebody", dbname="postgres")
    assert Registry(archived.key).password("other", "postgres") != Registry(archived.key).password(MAIN, "postgres")
    server.restart(archived.key, "other")
    recovery.discard(archived.key, MAIN, "other")
    assert "other" not in Registry(archived.key).servers()
    assert not (archive_of(archived).directory.parent / "other").exists()


def test_in_place_the_data_of_before_are_kept_and_what_came_after_can_still_be_had(archived: LocalStack) -> None:
    first = highest(archived) + 1
    archived.execute(f"INSERT INTO t VALUES ({first})")
    early = now(archived)
    archived.execute(f"INSERT INTO t VALUES ({first + 1})")
    late = now(archived)
    _, kept = recovery.in_place(archived.key, MAIN, early)
    assert highest(archived) == first
    assert kept.parent == archive_of(archived).directory
    assert (kept / "PG_VERSION").exists()
    archived.execute(f"INSERT INTO t VALUES ({first + 2})")
    assert highest_beside(archived, late) == first + 1, "what the server held then, whatever was restored since"
    assert highest_beside(archived, None) == first + 2
    assert not making.back_up(archived.key, MAIN).full
    archived.execute(f"INSERT INTO t VALUES ({first + 3})")
    assert highest_beside(archived, now(archived)) == first + 3
    assert making.verify(archived.key, MAIN)


def test_a_server_that_does_not_start_in_place_leaves_the_live_one(
    archived: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived.execute(f"INSERT INTO t VALUES ({highest(archived) + 1})")
    before, usual, calls = numbers(archived), configuration.write, []

    def broken(*arguments: object) -> bool:
        written = usual(*arguments)  # type: ignore[arg-type]
        if not calls:
            with (archive_of(archived).directory / "pgdata" / "postgresql.conf").open("a") as file:
                file.write("work_mem = 'nonsense'\n")
        calls.append(arguments)
        return written

    monkeypatch.setattr(configuration, "write", broken)
    with pytest.raises(ServerError, match="does not start"):
        recovery.in_place(archived.key, MAIN, None)
    assert numbers(archived) == before
    assert highest_beside(archived, None) == max(before)


def test_what_a_killed_restore_left_is_cleared_by_the_next(archived: LocalStack) -> None:
    left = archive_of(archived).directory / "restoring-killed"
    left.mkdir()
    (left / "half").write_text("half a file")
    kept = archive_of(archived).directory / "pgdata.before-long-ago"
    kept.mkdir(exist_ok=True)
    recovery.in_place(archived.key, MAIN, None)
    assert not left.exists()
    assert kept.exists()


def test_a_time_outside_of_the_archive_is_one_sentence_with_the_one_that_can_be_had(archived: LocalStack) -> None:
    for moment, words in (
        (datetime(2020, 1, 1, tzinfo=UTC), "is before the first backup of main was complete; give a time from 20"),
        (datetime.now(UTC) + timedelta(hours=1), "is later than what the archive of main holds; give a time from 20"),
    ):
        for restored in (recovery.beside, recovery.in_place):
            with pytest.raises(BackupError, match=words) as refused:
                restored(archived.key, MAIN, moment)
            assert "\n" not in str(refused.value)
    assert list(Registry(archived.key).servers()) == [MAIN]
    assert not list(archive_of(archived).directory.glob("restoring-*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("yesterday", "is no time; write it like 2026-11-22T08:15:00Z, or latest"),
        ("2026-11-22 08:15", "does not say its time zone; write it like 2026-11-22T08:15:00Z"),
        ("2999-01-01T00:00:00Z", "is in the future; give a time until"),
    ],
)
def test_a_time_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(BackupError, match=words):
        choosing.read_moment(text, datetime.now(UTC))


def test_a_time_may_have_any_zone() -> None:
    moment = choosing.read_moment("2026-01-01T01:00:00+01:00", datetime(2026, 2, 1, tzinfo=UTC))
    assert moment == datetime(2026, 1, 1, tzinfo=UTC)
    assert choosing.read_moment("latest", datetime.now(UTC)) is None


def test_another_server_cannot_be_discarded(archived: LocalStack) -> None:
    with pytest.raises(KeelsonError, match="was not restored beside main"):
        recovery.discard(archived.key, MAIN, MAIN)
    assert archived.answering()


def archive_of(local: LocalStack) -> archive.LocalArchive:
    return archive.find(local.key, MAIN)[0]


def highest_beside(local: LocalStack, moment: datetime | None) -> int:
    side = recovery.beside(local.key, MAIN, moment, into="beside")
    try:
        return max(numbers(local, side.name))
    finally:
        recovery.discard(local.key, MAIN, side.name)


def test_where_the_data_are_lost_the_archive_brings_them_back(archived: LocalStack, tmp_path: Path) -> None:
    archived.execute(f"INSERT INTO t VALUES ({highest(archived) + 1})")
    before, directory = numbers(archived), archive_of(archived).directory
    server.stop(archived.key, MAIN)
    (directory / "pgdata").rename(tmp_path / "lost")
    recovery.in_place(archived.key, MAIN, None)
    assert numbers(archived) == before
