from __future__ import annotations

import fcntl
import hashlib
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keelson.backups.dump import dump_database, verify_dump
from keelson.errors import BackupError
from tests.servers import Server
from tests.services import Service

Client = Callable[[str], list[str]]


@pytest.fixture
def client(server: Server) -> Client:
    return lambda program: server.root.command([server.root.program(program)])


@pytest.fixture
def filled(database: Service) -> Service:
    with database.as_admin() as admin:
        admin.execute("CREATE TABLE t AS SELECT g AS a, md5(g::text) AS b FROM generate_series(1, 20000) g")
    return database


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BackupError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_dump_is_private_verified_and_restores(filled: Service, client: Client, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "one.dump"
    dump = dump_database(client, filled.server.parameters(filled.name), target)
    assert dump.path == target
    assert dump.bytes == target.stat().st_size > 10_000
    assert dump.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (target.stat().st_mode & 0o777, target.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(target.parent.iterdir()) == [target]
    with target.open("rb") as file:
        text = subprocess.run([*client("pg_restore"), "--file=-"], stdin=file, capture_output=True, check=True).stdout
    assert text.count(b"\n") > 20_000


def test_no_password_stands_in_the_process_list(filled: Service, client: Client, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def watched(program: str) -> list[str]:
        seen.append(client(program))
        return seen[-1]

    dump_database(watched, filled.server.parameters(filled.name), tmp_path / "one.dump")
    assert all(filled.server.password not in word for command in seen for word in command)


def test_a_failed_dump_leaves_the_earlier_one(filled: Service, client: Client, tmp_path: Path) -> None:
    target = tmp_path / "one.dump"
    dump_database(client, filled.server.parameters(filled.name), target)
    before = target.read_bytes()
    message = refused(lambda: dump_database(client, filled.server.parameters("nowhere"), target))
    assert 'database "nowhere" does not exist' in message
    wrong = filled.server.parameters(filled.name, password="wr0ng-one")
    message = refused(lambda: dump_database(client, wrong, target))
    assert "password authentication failed" in message
    assert "wr0ng-one" not in message
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def server_command(client: Client, script: str) -> list[str]:
    return [*client("pg_dump")[:-1], "/bin/sh", "-c", script, "sh"]


def test_a_full_disk_leaves_the_earlier_dump(filled: Service, client: Client, tmp_path: Path) -> None:
    target = tmp_path / "one.dump"
    dump_database(client, filled.server.parameters(filled.name), target)
    before = target.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        message = refused(lambda: dump_database(client, filled.server.parameters(filled.name), target))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "cannot write the dump" in message
    assert "File too large; make room" in message
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_a_dump_that_does_not_read_back_never_gets_its_name(filled: Service, client: Client, tmp_path: Path) -> None:
    def cut_off(program: str) -> list[str]:
        if program == "pg_restore":
            return client(program)
        return server_command(client, 'pg_dump "$@" | head -c 5000')

    assert "one.dump failed: pg_restore: error:" in refused(
        lambda: dump_database(cut_off, filled.server.parameters(filled.name), tmp_path / "one.dump")
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage", ["half", "last 200 bytes", "last byte", "flipped byte", "zeroed block", "empty", "no dump"]
)
def test_a_damaged_dump_is_told_apart(filled: Service, client: Client, tmp_path: Path, damage: str) -> None:
    target = tmp_path / "one.dump"
    data = bytearray(
        target.read_bytes() if dump_database(client, filled.server.parameters(filled.name), target) else b""
    )
    middle = len(data) // 2
    flipped = bytes(data[:middle]) + bytes([data[middle] ^ 255]) + bytes(data[middle + 1 :])
    target.write_bytes(
        {
            "half": bytes(data[:middle]),
            "last 200 bytes": bytes(data[:-200]),
            "last byte": bytes(data[:-1]),
            "flipped byte": flipped,
            "zeroed block": bytes(data[:middle]) + bytes(4096) + bytes(data[middle + 4096 :]),
            "empty": b"",
            "no dump": b"-- SQL\nSELECT 1;\n",
        }[damage]
    )
    assert "the dump one.dump failed: " in refused(lambda: verify_dump(client, target))


def test_a_missing_dump_is_named(client: Client, tmp_path: Path) -> None:
    assert f"{tmp_path}/none.dump cannot be read: No such file" in refused(
        lambda: verify_dump(client, tmp_path / "none.dump")
    )


def test_two_dumps_do_not_write_to_one_file_and_what_a_kill_left_is_overwritten(
    filled: Service, client: Client, tmp_path: Path
) -> None:
    partial = tmp_path / "one.dump.partial"
    parameters = filled.server.parameters(filled.name)
    with partial.open("wb") as other:
        other.write(b"rest of a killed dump" * 100_000)
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another dump is being written" in refused(
            lambda: dump_database(client, parameters, tmp_path / "one.dump")
        )
    dump = dump_database(client, parameters, tmp_path / "one.dump")
    assert dump.bytes < 2_000_000
    assert not partial.exists()


def test_a_program_that_is_missing_is_named(filled: Service, tmp_path: Path) -> None:
    message = refused(
        lambda: dump_database(
            lambda _: ["/nowhere/pg_dump"], filled.server.parameters(filled.name), tmp_path / "one.dump"
        )
    )
    assert "cannot run /nowhere/pg_dump: No such file" in message


def test_dumping_waits_for_no_lock_for_ever(
    filled: Service, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keelson.backups.dump.LOCK_WAIT", "300ms")
    with filled.as_admin() as admin:
        admin.execute("BEGIN; LOCK TABLE t")
        message = refused(lambda: dump_database(client, filled.server.parameters(filled.name), tmp_path / "one.dump"))
    assert "canceling statement due to" in message
