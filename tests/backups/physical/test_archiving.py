"""What becomes of a server whose archive cannot be written, is damaged, or cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from keelson.agent import archives, jobs
from keelson.agent.loop import JobView, View
from keelson.agent.state import JobState
from keelson.backups.physical import archiving, making, state
from keelson.backups.physical.archiving import Archiving
from keelson.backups.physical.chosen import ENGINE
from keelson.endpoint import Reference
from keelson.errors import BackupError, DamagedError, KeelsonError, SettingsError
from keelson.local import archive, recovery, server
from keelson.local.registry import Registry
from tests.backups.physical.conftest import WAITING
from tests.local.conftest import LocalStack, wait_until

MAIN = "main"
PATIENT = 150  # seconds: an attempt to archive is made once a minute where earlier ones failed


def place_of(local: LocalStack) -> archive.LocalArchive:
    return archive.find(local.key, MAIN)[0]


def reference(local: LocalStack) -> Reference:
    return Reference(stack=local.key, target="local", server=MAIN)


def look(local: LocalStack) -> state.ArchiveState:
    return state.look(reference(local), WAITING)


def write(local: LocalStack, files: int = 1) -> None:
    for _ in range(files):
        local.execute("SELECT pg_logical_emit_message(true, 'test', 'something')")
        local.execute("SELECT pg_switch_wal()")


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    every = [directory, *(path for path in directory.rglob("*") if path.is_dir())]
    try:
        for each in every:
            each.chmod(0o500)
        yield
    finally:
        for each in every:
            each.chmod(0o700)


def test_an_archive_that_works_says_how_little_could_be_lost(archived: LocalStack) -> None:
    write(archived)
    wait_until(lambda: not look(archived).waiting.waiting, PATIENT)
    found = look(archived)
    assert found.fault == ""
    assert found.waiting.exposed == 60
    assert archived.execute("SHOW archive_timeout") == [("1min",)]
    assert datetime.now(UTC) >= found.backed_up
    kept = [path.name for path in place_of(archived).repository.rglob("*") if path.is_file()]
    assert [name for name in kept if name.endswith(".zst")], "compressed"
    assert not [
        path for path in place_of(archived).repository.rglob("archive.info") if b"db-system-id" in path.read_bytes()
    ]


def test_a_repository_that_cannot_be_written_stops_no_server_and_is_said(archived: LocalStack) -> None:
    pid, before = archived.pid(), archived.log()
    with server.connect(archived.key, MAIN) as session:
        with read_only(place_of(archived).repository):
            write(archived)
            wait_until(lambda: look(archived).fault, PATIENT)
            found = look(archived)
            assert (
                "the archive of main is stuck: 16 MiB of the log wait, and beyond 64 MiB they are dropped"
                in found.fault
            )
            assert "`keelson logs main` says why" in found.fault
            assert found.waiting.failing
            with pytest.raises(BackupError) as refused:
                making.back_up(archived.key, MAIN)
            assert "\n" not in str(refused.value)
        session.execute("SELECT 1")
    assert archived.pid() == pid
    assert "terminating any other active server processes" not in archived.log().removeprefix(before)
    wait_until(lambda: not look(archived).waiting.waiting, PATIENT)
    assert look(archived).fault == ""


def test_a_lost_and_a_damaged_part_are_found_and_named(archived: LocalStack) -> None:
    write(archived, 3)
    wait_until(lambda: not look(archived).waiting.waiting, PATIENT)
    made = making.back_up(archived.key, MAIN)
    write(archived)
    wait_until(lambda: not look(archived).waiting.waiting, PATIENT)
    making.verify(archived.key, MAIN)
    bundle = next((place_of(archived).repository / "backup" / "main" / made.label).rglob("bundle/*"))
    text = bundle.read_bytes()
    bundle.write_bytes(text[:-1] + bytes([text[-1] ^ 1]))
    with pytest.raises(DamagedError, match="the archive of main is damaged"):
        making.verify(archived.key, MAIN)
    bundle.write_bytes(text)
    making.verify(archived.key, MAIN)
    lost = sorted((place_of(archived).repository / "archive").rglob("0*.zst"))[-2]
    lost.rename(lost.with_name("away"))
    with pytest.raises(DamagedError, match=r"the archive of main (is damaged|lacks the log between)"):
        making.verify(archived.key, MAIN)
    assert ENGINE.gaps(place_of(archived).repository)
    lost.with_name("away").rename(lost)
    assert not ENGINE.gaps(place_of(archived).repository)


def test_log_that_can_wait_no_longer_is_dropped_loudly_until_there_is_a_new_backup(archived: LocalStack) -> None:
    with read_only(place_of(archived).repository):
        write(archived, WAITING // 2**24 + 2)
        wait_until(lambda: look(archived).waiting.dropped, PATIENT)
        moment = archived.execute("SELECT clock_timestamp()")[0][0]
    fault = look(archived).fault
    assert "of the log of main had to be dropped, the last at 20" in fault
    assert "run `keelson backup run --server main`" in fault
    assert "dropped WAL file" in archived.log()
    wait_until(lambda: not look(archived).waiting.waiting, PATIENT)
    making.back_up(archived.key, MAIN)
    assert look(archived).fault == ""
    with pytest.raises(BackupError, match="ends, or has a gap, before that time"):
        recovery.beside(archived.key, MAIN, moment)
    assert list(Registry(archived.key).servers()) == [MAIN]
    assert recovery.beside(archived.key, MAIN, None).reached.seconds > 0


def test_a_wrong_passphrase_is_one_sentence_and_nothing_is_made(archived: LocalStack) -> None:
    file = archiving.keys(archived.key) / "main.passphrase"
    right = file.read_text()
    spec = server.recorded(archived.key, MAIN)
    try:
        file.write_text("not the right one\n")
        server.start(spec)  # which writes it for pgBackRest
        for attempt in (
            lambda: making.back_up(archived.key, MAIN),
            lambda: making.every(archived.key, MAIN),
            lambda: recovery.beside(archived.key, MAIN, None),
            lambda: recovery.in_place(archived.key, MAIN, None),
        ):
            with pytest.raises(BackupError, match="cannot be decrypted") as refused:
                attempt()
            assert "\n" not in str(refused.value)
        file.unlink()
        with pytest.raises(SettingsError, match="has no passphrase of the archive of main"):
            archiving.passphrase(archived.key, MAIN)
    finally:
        file.write_text(right)
        server.start(spec)
    assert list(Registry(archived.key).servers()) == [MAIN]
    assert archived.answering()


def test_a_passphrase_is_not_changed_below_the_backups_that_it_encrypts(archived: LocalStack) -> None:
    kept = archiving.passphrase(archived.key, MAIN)
    with pytest.raises(SettingsError, match="is encrypted with another passphrase than the settings say"):
        archiving.ensure_passphrase(archived.key, MAIN, "another one of mine")
    assert archiving.ensure_passphrase(archived.key, MAIN, kept) == kept
    conf = place_of(archived).directory / "archiving" / "pgbackrest.conf"
    assert kept in conf.read_text()
    assert conf.stat().st_mode & 0o077 == 0


def test_a_missing_repository_is_named_and_comes_back(archived: LocalStack) -> None:
    place = place_of(archived)
    place.repository.rename(place.repository.with_name("away"))
    try:
        assert "the archive of main is missing" in look(archived).fault
        with pytest.raises(BackupError, match="the archive of main is missing"):
            making.back_up(archived.key, MAIN)
        server.restart(archived.key, MAIN)
        assert archived.answering(), "a server starts without it"
    finally:
        place.repository.rmdir() if place.repository.exists() else None
        place.repository.with_name("away").rename(place.repository)
        server.restart(archived.key, MAIN)
    making.prepare(archived.key, MAIN)
    assert look(archived).fault == ""


def test_a_server_without_an_archive_says_how_to_have_one(archived: LocalStack) -> None:
    archived.up("plain")
    try:
        with pytest.raises(KeelsonError, match="keeps no archive to restore from; set `point_in_time: true`"):
            making.back_up(archived.key, "plain")
        assert archived.execute("SHOW archive_command", "plain") == [("/bin/true",)]
        server.start(archived.spec("plain", archiving=Archiving()))
        making.prepare(archived.key, "plain")
        assert making.back_up(archived.key, "plain").full
        server.start(archived.spec("plain"))
        assert archived.execute("SHOW archive_command", "plain") == [("/bin/true",)]
    finally:
        server.remove(archived.key, "plain")


def test_the_agent_shows_each_archive(archived: LocalStack) -> None:
    job = jobs.Job("archive-main", jobs.ARCHIVE, reference(archived), "0 1 * * *", settings={"waiting": WAITING})
    view = View((JobView(job, JobState(), 0, running=False),))
    (found,) = archives.look(view)
    assert found.fault == ""
    figures = {sample.name: sample.value for metric in archives.metrics([found]) for sample in metric.samples}
    assert figures["keelson_archive_well"] == 1
    assert figures["keelson_archive_exposed_seconds"] >= 60
    assert json.dumps(archives._shown(found))


def test_a_login_of_a_service_reads_nothing_of_it(archived: LocalStack) -> None:
    archived.execute("DO $$ BEGIN CREATE ROLE nobody_special LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    with server.connect(archived.key, MAIN) as connection:
        connection.execute("SET ROLE nobody_special")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_read_file('/data/archiving/pgbackrest.conf')")
