"""Backups of a Redis: written from a running one, read back in full, restored without overwriting anything."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keelson import paths
from keelson.backups.engines import Contents, Destination, engine
from keelson.backups.folder import Folder
from keelson.backups.redis import MARK, SNAPSHOT, RedisEngine
from keelson.errors import BackupError, DamagedError, KeelsonError
from keelson.local import processes
from keelson.redis.connection import connect
from tests.local.conftest import wait_until
from tests.redis.conftest import Server, empty, make_server, server  # noqa: F401 - fixtures

KEYS = 1000


@pytest.fixture
def filled(empty: Server) -> Server:  # noqa: F811
    """Keys of every type in three databases, some of which expire."""
    for number in range(3):
        with empty.client(database=number) as admin, admin.pipeline() as pipe:
            for each in range(KEYS):
                pipe.set(f"auth:{each}", os.urandom(20).hex(), ex=3600 if each % 2 else None)
            pipe.hset("auth:hash", mapping={str(each): each for each in range(300)})
            pipe.zadd("auth:sorted", {str(each): each for each in range(300)})
            pipe.sadd("auth:set", *range(300))
            pipe.rpush("auth:list", *range(300))
            for each in range(300):
                pipe.xadd("auth:stream", {"n": each})
            pipe.xgroup_create("auth:stream", "readers", "0")
            pipe.execute()
    return empty


@pytest.fixture(scope="module")
def other(make_server: Callable[..., Server]) -> Server:  # noqa: F811
    return make_server("other")


@pytest.fixture
def elsewhere(other: Server) -> Server:
    """Another Redis, empty."""
    with connect(other.reference) as admin:
        admin.config_set("maxmemory", 64 << 20)
        admin.config_set("maxmemory-policy", "noeviction")
        admin.flushall()
        admin.function_flush()
    return other


def _back_up(server: Server, path: Path) -> tuple[Folder, Contents]:  # noqa: F811
    path.mkdir(mode=0o700)
    written = Folder(path)
    contents = RedisEngine().write(server.reference, written)
    return Folder(path, written.files), contents


def _digests(server: Server) -> list[dict[str, tuple[object, int]]]:  # noqa: F811
    found = []
    for number in range(3):
        with server.client(database=number, decode_responses=False) as admin:
            found.append({key: (admin.dump(key), admin.pexpiretime(key)) for key in admin.scan_iter(count=1000)})
    return found


def _values(server: Server, number: int) -> dict[str, object]:  # noqa: F811
    with server.client(database=number) as admin:
        return {
            "hash": admin.hgetall("auth:hash"),
            "sorted": admin.zrange("auth:sorted", 0, -1, withscores=True),
            "set": admin.smembers("auth:set"),
            "list": admin.lrange("auth:list", 0, -1),
            "stream": admin.xrange("auth:stream"),
            "groups": admin.xinfo_groups("auth:stream"),
            "texts": {key: (admin.get(key), admin.pexpiretime(key)) for key in admin.scan_iter(_type="STRING")},
        }


def test_what_was_backed_up_is_counted_and_restored_key_by_key(
    filled: Server, elsewhere: Server, tmp_path: Path
) -> None:
    began = time.monotonic()
    folder, contents = _back_up(filled, tmp_path / "backup")
    assert time.monotonic() - began < 3
    assert contents.counts == {f"database {number}": KEYS + 5 for number in range(3)}
    assert folder.path.joinpath(SNAPSHOT).stat().st_mode & 0o077 == 0
    assert engine("redis", "local").read_back(folder, contents) == contents.counts
    restored = RedisEngine().restore(folder, contents, Destination("redis", elsewhere.reference))
    assert restored == contents.counts
    for number in range(3):
        assert _values(elsewhere, number) == _values(filled, number)
        with elsewhere.client(database=number) as admin:
            assert admin.dbsize() == KEYS + 5
    assert not list((paths.data() / "scratch").glob("*"))


def test_a_backup_shows_no_password(filled: Server, tmp_path: Path) -> None:
    assert RedisEngine().expect(filled.reference) > 10_000
    code = (
        "import sys; from pathlib import Path; from keelson.backups.folder import Folder;"
        "from keelson.backups.redis import RedisEngine; from keelson.endpoint import Reference;"
        f"RedisEngine().write(Reference(stack='test-redis', target='local', server='redis', role='admin'), Folder(Path({str(tmp_path)!r})))"
    )
    passwords = {filled.client(user).connection_pool.connection_kwargs["password"] for user in ("admin", "backup")}
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while process.poll() is None:
            seen = " ".join(each.command for each in processes.running())
            assert not any(password in seen for password in passwords)
    assert process.returncode == 0


@pytest.mark.parametrize("damage", ["cut", "byte"])
def test_a_cut_or_damaged_snapshot_does_not_read_back(filled: Server, tmp_path: Path, damage: str) -> None:
    folder, contents = _back_up(filled, tmp_path / "backup")
    path = folder.path / SNAPSHOT
    whole, chance = path.read_bytes(), random.Random(1)
    for _ in range(5):
        place = chance.randrange(len(whole) // 4, len(whole))
        changed = whole[:place] if damage == "cut" else whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        path.write_bytes(changed)
        with pytest.raises(BackupError, match="damaged"):
            RedisEngine().read_back(folder, contents)
        lying = tmp_path / f"lying-{place}"  # whose manifest was made of the damaged file
        lying.mkdir()
        copy = Folder(lying)
        with copy.create(SNAPSHOT) as file:
            file.write(changed)
        with pytest.raises(DamagedError, match="cannot be loaded"):
            RedisEngine().read_back(copy, contents)
    assert not list((paths.data() / "scratch").glob("*"))


def test_keys_that_have_expired_since_are_no_fault(empty: Server, elsewhere: Server, tmp_path: Path) -> None:  # noqa: F811
    with empty.client() as admin:
        admin.set("auth:short", "x", px=400)
        admin.set("auth:long", "x", ex=1000)
    folder, contents = _back_up(empty, tmp_path / "backup")
    with empty.client() as admin:
        wait_until(lambda: not admin.exists("auth:short"))
    assert contents.counts == {"database 0": 2}
    assert RedisEngine().read_back(folder, contents) == contents.counts
    assert RedisEngine().restore(folder, contents, Destination("redis", elsewhere.reference)) == contents.counts
    with elsewhere.client() as admin:
        assert admin.keys() == ["auth:long"]


def test_a_database_that_holds_keys_is_left_as_it_is(filled: Server, elsewhere: Server, tmp_path: Path) -> None:
    folder, contents = _back_up(filled, tmp_path / "backup")
    with elsewhere.client(database=2) as admin:
        admin.set("auth:1", "newer")
    before = _digests(elsewhere)
    with pytest.raises(BackupError, match=r"database 2 of other holds 1 keys, and a restore overwrites nothing"):
        RedisEngine().restore(folder, contents, Destination("redis", elsewhere.reference))
    assert _digests(elsewhere) == before


def test_a_restore_that_does_not_fit_takes_back_what_it_began(
    filled: Server, elsewhere: Server, tmp_path: Path
) -> None:
    folder, contents = _back_up(filled, tmp_path / "backup")
    with elsewhere.client() as admin:
        for policy in ("noeviction", "allkeys-lru"):
            limit = int(admin.info("memory")["used_memory"]) + 150_000
            admin.config_set("maxmemory", limit)
            admin.config_set("maxmemory-policy", policy)
            with pytest.raises(BackupError, match="maxmemory"):
                RedisEngine().restore(folder, contents, Destination("redis", elsewhere.reference))
            assert _digests(elsewhere) == [{}, {}, {}]


def test_a_killed_restore_is_finished_by_the_next(filled: Server, elsewhere: Server, tmp_path: Path) -> None:
    folder, contents = _back_up(filled, tmp_path / "backup")
    facts = folder.files[SNAPSHOT]
    code = (
        "from pathlib import Path; from keelson.backups.engines import Contents, Destination;"
        "from keelson.backups.folder import FileFacts, Folder; from keelson.backups.redis import RedisEngine;"
        "from keelson.endpoint import Reference;"
        f"folder = Folder(Path({str(folder.path)!r}), {{{SNAPSHOT!r}: FileFacts({facts.sha256!r}, {facts.bytes})}});"
        "there = Reference(stack='test-redis', target='local', server='other', role='admin');"
        f"RedisEngine().restore(folder, Contents({dict(contents.counts)!r}), Destination('redis', there))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process, elsewhere.client() as admin:
        wait_until(lambda: admin.dbsize() > 50)
        process.send_signal(signal.SIGKILL)
    with elsewhere.client() as admin:
        assert admin.get(MARK.decode())
        wait_until(
            lambda: (
                not [
                    each
                    for each in processes.running()
                    if "keelson/scratch/" in each.command or "/scratch/redis-" in each.command
                ]
            )
        )
    another, others = _back_up(elsewhere, tmp_path / "another")
    with pytest.raises(BackupError, match="half of another backup"):
        RedisEngine().restore(another, others, Destination("redis", elsewhere.reference))
    assert RedisEngine().restore(folder, contents, Destination("redis", elsewhere.reference)) == contents.counts
    assert [_values(elsewhere, number) for number in range(3)] == [_values(filled, number) for number in range(3)]
    assert not list((paths.data() / "scratch").glob("*"))


def test_what_somebody_writes_meanwhile_is_kept(filled: Server, elsewhere: Server, tmp_path: Path) -> None:
    folder, contents = _back_up(filled, tmp_path / "backup")
    with elsewhere.client() as admin:
        admin.set(MARK.decode(), folder.files[SNAPSHOT].sha256)  # as in the midst of a restore
        admin.set("auth:1", "newer")
        with pytest.raises(BackupError, match="somebody writes to database 0"):
            RedisEngine().restore(folder, contents, Destination("redis", elsewhere.reference))
        assert (admin.keys(), admin.get("auth:1")) == (["auth:1"], "newer")


def test_function_libraries_are_restored_and_others_refused(empty: Server, elsewhere: Server, tmp_path: Path) -> None:  # noqa: F811
    library = "#!lua name=%s\nredis.register_function('%s', function() return 1 end)"
    with empty.client() as admin:
        admin.set("auth:k", "v")
        admin.function_load(library % ("mine", "mine"))
    folder, contents = _back_up(empty, tmp_path / "backup")
    with empty.client() as admin:
        admin.function_flush()
    assert contents.counts == {"database 0": 1, "function libraries": 1}
    with elsewhere.client() as admin:
        admin.function_load(library % ("theirs", "theirs"))
        with pytest.raises(BackupError, match="function libraries of its own"):
            RedisEngine().restore(folder, contents, Destination("redis", elsewhere.reference))
        assert admin.dbsize() == 0
        admin.function_flush()
        RedisEngine().restore(folder, contents, Destination("redis", elsewhere.reference))
        assert admin.fcall("mine", 0) == 1


def test_a_redis_that_is_down_or_full_is_one_sentence(filled: Server, tmp_path: Path) -> None:
    pid = next(each.pid for each in processes.of_stack(filled.local.key) if f":{_port(filled)}" in each.command)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(KeelsonError, match="does not answer"):
            RedisEngine().write(filled.reference, Folder(tmp_path))
    finally:
        os.kill(pid, signal.SIGCONT)
    with filled.client() as admin:
        admin.acl_setuser("backup", enabled=False)
        with pytest.raises(BackupError, match="the snapshot of redis"):
            RedisEngine().write(filled.reference, Folder(tmp_path))
        admin.acl_setuser("backup", enabled=True)


def _port(server: Server) -> int:  # noqa: F811
    with server.client() as admin:
        return int(admin.connection_pool.connection_kwargs["port"])
