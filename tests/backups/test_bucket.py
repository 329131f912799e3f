"""Backups of a real database in S3-compatible storage, on a real server of it: made, read, kept, and what a fault leaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pyrage import x25519

from keelson.backups import bucket, terms
from keelson.backups.bucket import Storage
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.exporting import export
from keelson.backups.making import verify
from keelson.backups.overview import overview
from keelson.backups.retention import Retention, prune
from keelson.backups.store import Store
from keelson.backups.terms import SECRET as SECRETS
from keelson.backups.terms import Bucket, Terms
from keelson.errors import BackupError, DamagedError
from keelson.local.registry import Registry
from tests.backups.conftest import KEY, Subject
from tests.backups.test_making import refused
from tests.stack.harness import wait_until
from tests.storage import BUCKET, SECRET, StorageServer, program, running
from tools.machine import storage

PERSON = x25519.Identity.generate()
NEVER = Retention(keep_days=1, keep_at_least=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    base = tmp_path_factory.mktemp("storage")
    with running(base / "data", base / "notes") as found:
        yield found


def stored(subject: Subject, where: Bucket) -> Subject:
    """The subject with its backups in a bucket."""
    Registry(KEY).set_password(SECRETS, where.access_key, SECRET)
    kept = Terms((str(PERSON.to_public()),), where)
    return replace(subject, store=Store(KEY, subject.store.directory.parent, kept))


@pytest.fixture
def away(filled: Subject, server: StorageServer) -> Subject:
    """A service whose backups go to the storage."""
    return stored(filled, server.bucket)


def of(server: StorageServer, subject: Subject) -> list[str]:
    prefix = f"of/keelson/{KEY}/{subject.name}/"
    return [path.removeprefix(prefix) for path in server.files if path.startswith(prefix)]


def test_a_backup_in_a_bucket_is_made_verified_drilled_restored_and_exported(
    away: Subject, server: StorageServer, tmp_path: Path, streams: str
) -> None:
    with away.connect() as admin:
        admin.execute("CREATE TABLE u AS SELECT a FROM t")
    made = away.back_up()
    names = ["catalog.json.age", "data.dump.age", "digests.json.age", "manifest.json", "roles.sql.age"]
    names = sorted([*names, "data-2.dump.age"]) if streams == "two streams" else names
    assert of(server, away) == [f"{made.id}/{name}" for name in names]
    assert [path.name for path in away.folder.iterdir()] == [".lock"]  # nothing of it lies here
    assert away.name in away.store.names()
    found = away.store.find(away.name)
    assert (found.id, found.fault, found.remark) == (made.id, "", "")
    verify(found, "local")
    assert away.store.find(away.name).verified != found.manifest.ended
    assert drill(found, Plan(away.store, "local")).well
    away.restore(found)
    export(found, tmp_path / "out.dump")
    assert (tmp_path / "out.dump").read_bytes()[:5] == b"PGDMP"
    assert not [name for name in of(server, away) if "lease" in name]


def test_age_itself_opens_what_lies_there(away: Subject, server: StorageServer, tmp_path: Path) -> None:
    made = away.back_up()
    (tmp_path / "key").write_text(f"{PERSON}\n")
    dump = server.root / BUCKET / "of/keelson" / KEY / away.name / made.id / "data.dump.age"
    command = [program(storage.AGE), "--decrypt", "--identity", tmp_path / "key", dump]
    assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"PGDMP")


def test_large_files_go_up_in_parts(away: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "PART", 5 << 20)
    with away.connect() as admin:
        admin.execute(
            "CREATE TABLE big AS SELECT string_agg(md5(random()::text), '') AS a FROM generate_series(1, 900) g, generate_series(1, 1000) h GROUP BY h"
        )
    made = away.back_up()
    assert made.manifest.files["data.dump.age"].bytes > 2 * (5 << 20)
    verify(made, "local")


def test_what_has_no_manifest_is_no_backup_and_goes_with_the_next_run(away: Subject, server: StorageServer) -> None:
    made = away.back_up()
    place = away.store.storage.place(away.name, "20200101T000000Z")  # type: ignore[union-attr]
    with place.create("data.dump.age") as file:
        file.write(b"half of it")
    assert [each.id for each in away.store.all(away.name)] == [made.id]
    away.back_up()
    assert "20200101T000000Z/data.dump.age" in of(server, away)  # young, and perhaps another machine's
    (away.folder / ".20200101T000000Z.partial").mkdir()
    away.back_up()
    assert "20200101T000000Z/data.dump.age" not in of(server, away)


def test_retention_pins_and_leases_hold_there_as_well(away: Subject, server: StorageServer) -> None:
    made = [away.back_up() for _ in range(3)]
    most = Retention(keep_days=30, keep_at_least=1, keep_at_most=1)
    made[0].pin("for ever")
    with made[1].held():
        assert prune(away.store, away.name, most) == []
    assert [each.id for each in prune(away.store, away.name, most)] == [made[1].id]
    assert not [name for name in of(server, away) if name.startswith(made[1].id)]
    made[0].unpin()
    assert [each.id for each in prune(away.store, away.name, most)] == [made[0].id]
    with pytest.raises(BackupError, match="is being removed, or is none"), made[0].held():
        pass


def test_a_damaged_or_forged_object_is_named(away: Subject, server: StorageServer) -> None:
    made = away.back_up()
    folder = server.root / BUCKET / "of/keelson" / KEY / away.name / made.id
    data = bytearray((folder / "data.dump.age").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "data.dump.age").write_bytes(data)
    assert "its SHA-256 is not the manifest's" in refused(lambda: verify(away.store.all(away.name)[0], "local"))
    assert away.store.last(away.name) is None
    (folder / "data.dump.age").unlink()
    with pytest.raises(DamagedError, match=r"data.dump.age is missing"):
        verify(away.store.all(away.name)[0], "local")


def test_what_looks_from_outside_finds_them_by_what_the_last_update_wrote(away: Subject) -> None:
    made = away.back_up()
    terms.keep(KEY, away.store.terms)
    try:
        seen = overview(KEY, [away.name], None)
        assert (seen.of(away.name).last, seen.of(away.name).fault) == (made.id, "")
        assert seen.directory == f"the bucket {BUCKET} (of/keelson/{KEY})"
    finally:
        terms.keep(KEY, Terms())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "no-such-bucket"}, "has no bucket no-such-bucket; make it"),
        ({"access_key": "stranger"}, "does not know the key stranger, or its secret"),
        ({"endpoint": "http://127.0.0.1:9"}, "cannot be reached, or does not answer"),
        ({"endpoint": "http://no.such.host.invalid"}, "cannot be reached, or does not answer"),
    ],
    ids=["no bucket", "wrong key", "refused", "no host"],
)
def test_a_storage_that_refuses_or_is_not_there_is_one_sentence(
    filled: Subject, server: StorageServer, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], said: str
) -> None:
    monkeypatch.setattr(bucket, "TRIES", 1)
    broken = stored(filled, replace(server.bucket, **change))
    for call in (
        broken.back_up,
        lambda: broken.store.all(broken.name),
        lambda: prune(broken.store, broken.name, NEVER),
    ):
        assert said in refused(call)


def test_a_wrong_secret_and_a_missing_one_are_one_sentence(filled: Subject, server: StorageServer) -> None:
    away = stored(filled, server.bucket)
    Registry(KEY).set_password(SECRETS, server.bucket.access_key, "another")
    told = refused(away.back_up)
    assert "does not know the key a-key, or its secret (SignatureDoesNotMatch)" in told
    assert SECRET not in told
    Registry(KEY).forget_passwords(SECRETS)
    fresh = replace(away, store=Store(KEY, away.store.directory.parent, away.store.terms))
    assert "does not know the secret of the key a-key" in refused(fresh.back_up)
    assert "config set --secret --path keelson:backup.bucket.secret_key" in refused(fresh.back_up)


def test_a_server_without_a_certificate_that_is_trusted_is_refused(filled: Subject, server: StorageServer) -> None:
    secure = stored(filled, replace(server.bucket, endpoint=f"https://127.0.0.1:{server.port}"))
    assert "shows no certificate that is trusted" in refused(lambda: secure.store.all("auth"))


def test_a_storage_that_never_answers_is_given_up(
    filled: Subject, server: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "TRIES", 1)
    monkeypatch.setattr(bucket, "ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = stored(filled, replace(server.bucket, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert "cannot be reached, or does not answer" in refused(slow.back_up)


def test_a_storage_that_goes_away_during_a_backup_leaves_none(
    filled: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "TRIES", 1)
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(running(tmp_path / "data", tmp_path / "notes"))
        away = stored(filled, server.bucket)
        earlier = away.back_up()
        complete = Storage.call

        def gone(self: Storage, operation: str, **arguments: object) -> object:
            if operation == "put_object" and str(arguments["Key"]).endswith("data.dump.age"):
                opened.close()
            return complete(self, operation, **arguments)

        monkeypatch.setattr(Storage, "call", gone)
        assert "cannot be reached, or does not answer" in refused(away.back_up)
    monkeypatch.setattr(Storage, "call", complete)
    with running(tmp_path / "data", tmp_path / "notes") as again:
        back = stored(filled, again.bucket)
        assert [each.id for each in back.store.all(back.name)] == [earlier.id]
        verify(back.store.find(back.name), "local")
        left = {name.partition("/")[0] for name in of(again, back)}
        made = back.back_up()  # clears what was left
        assert {name.partition("/")[0] for name in of(again, back)} == {earlier.id, made.id}
        assert left - {earlier.id}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_storage_is_one_sentence_and_earlier_backups_stay(filled: Subject, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", tmp_path / "data"], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        with running(tmp_path / "data", tmp_path / "notes") as server:
            away = stored(filled, server.bucket)
            earlier = away.back_up()
            with away.connect() as admin:
                admin.execute(
                    "CREATE TABLE big AS SELECT string_agg(md5(random()::text), '') AS a FROM generate_series(1, 500) g, generate_series(1, 1000) h GROUP BY h"
                )
            assert f"the bucket {BUCKET} is full (InsufficientStorage); make room, or raise its quota" in refused(
                away.back_up
            )
            assert [each.id for each in away.store.all(away.name)] == [earlier.id]
            verify(earlier, "local")
    finally:
        subprocess.run(["umount", "--lazy", tmp_path / "data"], check=True)


PROGRAM = """
import sys
from pathlib import Path
from keelson.backups.making import Source, back_up
from keelson.backups.store import Store
from keelson.backups.terms import Terms, Bucket
from keelson.endpoint import Reference
import json
reference, directory, terms = json.loads(sys.argv[1]), Path(sys.argv[2]), Terms.of(json.loads(sys.argv[3]))
back_up(Source("postgres", Reference(**reference)), Store(reference["stack"], directory, terms), "manual")
"""


def test_a_backup_that_is_killed_is_none_and_the_next_run_clears_it(away: Subject, server: StorageServer) -> None:
    place = away.store.directory.parent
    arguments = [json.dumps(asdict(away.reference)), str(place), json.dumps(asdict(away.store.terms))]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments])
    try:
        wait_until(lambda: any(name.endswith("roles.sql.age") for name in of(server, away)), "the upload begins")
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    if not away.store.all(away.name):  # else it was done before the signal came
        assert list(away.folder.glob(".*.partial"))
    made = away.back_up()
    kept = {name.partition("/")[0] for name in of(server, away)}
    assert made.id in kept
    assert kept == {each.id for each in away.store.all(away.name)}


def test_the_secret_of_the_key_stands_in_no_process_list_or_repr(away: Subject) -> None:
    seen: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.append(path.read_bytes().decode(errors="replace"))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        away.back_up()
    finally:
        over.set()
        looker.join()
    assert seen
    assert not [line for line in seen if SECRET in line]
    assert SECRET not in repr(away.store.terms)
