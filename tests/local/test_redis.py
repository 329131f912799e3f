"""A Redis of this machine: what it starts with, what it may lose, and what it says when something is wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from keelson.errors import PortInUseError, ServerError
from keelson.local import authorities, daemon, registry, supervisor, volume
from keelson.local.daemon import DaemonSpec, DaemonState
from keelson.local.target import LocalTarget
from tests.local.conftest import LocalStack, listener, wait_until

SETTINGS = {
    "maxmemory": "64mb",
    "maxmemory_policy": "allkeys-lru",
    "databases": {"general": 0, "cache": 1, "sessions": 2},
    "notify_keyspace_events": "KEA",
    "append_only": True,
    "tls": "TLSv1.3",
}


class Redis:
    """The Redis of a stack under test."""

    def __init__(self, local: LocalStack, name: str = "redis") -> None:
        self.local, self.name = local, name
        self.settings = dict(SETTINGS)

    @property
    def directory(self) -> Path:
        return volume.directory(self.local.key, self.name)

    def up(self, chosen: dict[str, str] | None = None, *, new_port: bool = False, **settings: object) -> DaemonState:
        self.settings |= settings
        volume.make(self.local.key, self.local.stack_id, self.name)
        spec = DaemonSpec(
            self.local.key,
            self.local.stack_id,
            self.name,
            "redis",
            preferred_port=self.local.base_port,
            settings=self.settings,
        )
        return daemon.start(spec, chosen, new_port=new_port)

    def client(self, user: str = "admin", password: str | None = None, **more: object) -> redis.Redis:
        kept = registry.Registry(self.local.key)
        return redis.Redis(
            port=kept.ports()[self.name],
            username=user,
            password=kept.password(self.name, user) if password is None else password,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            **{"ssl": True, "ssl_ca_certs": str(authorities.file(self.local.key))} | more,
        )

    @property
    def pid(self) -> int:
        return supervisor.noted(self.local.key, self.name).pid

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def look(self) -> daemon.Part:
        return daemon.look(self.local.key, self.name)

    def stop(self) -> None:
        daemon.stop(self.local.key, self.name)

    def start(self) -> DaemonState:
        return daemon.start_again(self.local.key, self.name)

    def log(self) -> str:
        return self.local.log(self.name)


@pytest.fixture
def store(local: LocalStack) -> Redis:
    """A Redis that answers."""
    made = Redis(local)
    made.up()
    return made


def _log_of_changes(store: Redis) -> Path:
    return max((store.directory / "appendonlydir").glob("*.incr.aof"))


def test_it_starts_as_the_settings_say_and_is_closed_to_all_without_a_password(store: Redis) -> None:
    with store.client() as admin:
        wanted = {
            "maxmemory": str(64 << 20),
            "maxmemory-policy": "allkeys-lru",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "3600 1 300 100 60 10000",
            "protected-mode": "yes",
            "bind": "127.0.0.1",
            "databases": "16",
            "aof-use-rdb-preamble": "yes",
            "aof-load-truncated": "yes",
            "stop-writes-on-bgsave-error": "yes",
        }
        assert {name: admin.config_get(name)[name] for name in wanted} == wanted
        assert set(admin.config_get("notify-keyspace-events")["notify-keyspace-events"]) == set("AKE")
        assert set(admin.acl_users()) == {"default", "admin", "backup", "monitor"}
    with store.client(password="") as anybody, pytest.raises(redis.AuthenticationError):
        anybody.ping()
    assert store.look().answering


def test_its_files_are_private_and_hold_no_password(store: Redis) -> None:
    with store.client() as admin:
        admin.set("k", "v")
        admin.save()
    kept = registry.Registry(store.local.key)
    for path in (store.directory, *store.directory.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        if path.is_file():
            assert not any(kept.password("redis", login).encode() in path.read_bytes() for login in ("admin", "backup"))


def test_monitoring_reads_figures_and_no_key(store: Redis) -> None:
    with store.client("monitor") as monitor:
        assert monitor.ping()
        assert monitor.info("memory")["used_memory"]
        for refused in (
            ("GET", "k"),
            ("KEYS", "*"),
            ("CONFIG", "SET", "maxmemory", "1"),
            ("ACL", "LIST"),
            ("SCAN", "0"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                monitor.execute_command(*refused)


def test_changed_settings_reach_a_running_one_without_a_restart(store: Redis) -> None:
    pid = store.pid
    store.up(maxmemory="96mb", maxmemory_policy="noeviction", notify_keyspace_events="")
    assert store.pid == pid
    with store.client() as admin:
        assert admin.config_get("maxmemory*") | {"maxmemory": str(96 << 20), "maxmemory-policy": "noeviction"} == (
            admin.config_get("maxmemory*")
        )
        assert admin.config_get("notify-keyspace-events")["notify-keyspace-events"] == ""
    store.stop()
    store.start()
    with store.client() as admin:
        assert admin.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_a_password_that_is_chosen_or_lost_is_put_right_and_all_data_stay(store: Redis) -> None:
    with store.client() as admin:
        admin.set("auth:k", "v")
        admin.acl_setuser("by_hand", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all"])
        admin.acl_save()
    store.up({"admin": "chosen by the user"})
    with store.client(password="chosen by the user") as admin:
        assert admin.get("auth:k") == "v"
    (registry.directory(store.local.key) / "secrets.json").unlink()
    assert "no password" in store.look().detail
    store.start()
    with store.client() as admin:
        assert admin.get("auth:k") == "v"
        assert "by_hand" in admin.acl_users()
    assert registry.Registry(store.local.key).password("redis", "admin") != "chosen by the user"


def test_data_survive_a_stop_and_a_start(store: Redis) -> None:
    with store.client() as admin:
        admin.set("k", "v", ex=1000)
    store.stop()
    assert not store.look().running
    store.start()
    with store.client() as admin:
        assert admin.get("k") == "v"
        assert 0 < admin.ttl("k") <= 1000


@pytest.mark.parametrize("first", [True, False])
def test_the_log_of_changes_can_be_ended_and_begun_without_losing_a_key(local: LocalStack, first: bool) -> None:  # noqa: FBT001
    store = Redis(local)
    store.up(append_only=first)
    for number, wanted in enumerate((first, not first, first, not first)):
        if number == 3:  # changed while it was down
            store.stop()
        store.up(append_only=wanted)
        with store.client() as admin:
            assert admin.config_get("appendonly")["appendonly"] == ("yes" if wanted else "no")
            assert admin.dbsize() == number
            admin.set(f"k{number}", "v")
            if not wanted:
                admin.save()
        store.kill()
        wait_until(lambda: store.look().answering)
        with store.client() as admin:
            assert admin.dbsize() == number + 1
        assert (store.directory / "appendonlydir").exists() is wanted


def test_killed_ten_times_in_a_row_it_answers_within_five_seconds_and_loses_at_most_a_second(store: Redis) -> None:
    longest, number = 0.0, 0
    for _ in range(10):
        acknowledged: dict[int, float] = {}
        with store.client() as admin:
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                number += 1
                admin.set("counter", number)
                acknowledged[number] = time.monotonic()
            killed, pid = time.monotonic(), store.pid
            store.kill()
        wait_until(lambda pid=pid: store.pid not in (0, pid) and store.look().answering, seconds=5)
        longest = max(longest, time.monotonic() - killed)
        with store.client() as admin:
            kept = int(admin.get("counter") or 0)
        assert all(killed - at <= 1 for value, at in acknowledged.items() if value > kept)
    assert longest < 5


def test_a_log_of_changes_that_was_cut_off_loads_to_its_last_whole_entry_and_says_so(store: Redis) -> None:
    with store.client() as admin:
        for number in range(200):
            admin.set(f"k{number}", number)
    store.stop()
    path = _log_of_changes(store)
    os.truncate(path, path.stat().st_size - 5)
    store.start()
    with store.client() as admin:
        assert admin.dbsize() == 199
    assert "Truncating the AOF" in store.log()


@pytest.mark.parametrize(("file", "named"), [("*.incr.aof", "redis-check-aof"), ("*.base.rdb", "restore a backup")])
def test_a_damaged_file_is_named_with_what_helps(store: Redis, file: str, named: str) -> None:
    with store.client() as admin:
        for number in range(200):
            admin.set(f"k{number}", f"a text of a few words {number}")
        if "base" in file:
            admin.bgrewriteaof()
            wait_until(lambda: not admin.info("persistence")["aof_rewrite_in_progress"])
    store.stop()
    path = max((store.directory / "appendonlydir").glob(file))
    data = bytearray(path.read_bytes())
    middle = data.index(b"*3", len(data) // 2) if "incr" in file else len(data) // 2
    for place in range(middle, middle + (1 if "incr" in file else 20)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ServerError, match="is damaged") as refused:
            store.start()
        assert named in str(refused.value)
        assert "docs/redis.md" in str(refused.value)
        assert path.stat().st_size == len(data)
        assert not store.pid


def _fill(admin: redis.Redis) -> None:
    for number in range(100):
        admin.set(f"k{number}", "x" * 100_000)


def test_one_that_cannot_start_again_says_why(store: Redis) -> None:
    with store.client() as admin:
        for number in range(200):
            admin.set(f"k{number}", number)
    path = _log_of_changes(store)
    data = bytearray(path.read_bytes())
    data[data.index(b"*3", len(data) // 2)] ^= 1
    path.write_bytes(data)
    store.kill()
    wait_until(lambda: supervisor.status(store.local.key)[0].state == "FAILING")
    part = daemon.look(store.local.key, "redis", supervisor.status(store.local.key)[0])
    assert part.detail.startswith("failing: its log of changes is damaged (appendonlydir/appendonly.aof.1.incr.aof)")


def test_an_up_puts_right_one_whose_password_was_lost(store: Redis) -> None:
    (registry.directory(store.local.key) / "secrets.json").unlink()
    assert not store.look().answering
    LocalTarget().start(store.local.key)
    assert store.look().answering


def test_data_that_are_not_there_are_not_begun_anew(store: Redis) -> None:
    store.stop()
    moved = store.directory.rename(store.directory.with_name("elsewhere"))
    with pytest.raises(ServerError, match=r"is missing .* mount its disk"):
        store.start()
    moved.rename(store.directory)
    store.start()


def test_full_memory_without_eviction_refuses_writes_and_answers_reads(store: Redis) -> None:
    store.up(maxmemory="3mb", maxmemory_policy="noeviction")
    with store.client() as admin:
        admin.set("first", "v")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            _fill(admin)
        assert admin.get("first") == "v"
    assert store.look().answering


def test_a_taken_port_gives_the_next_and_that_is_kept(local: LocalStack) -> None:
    store = Redis(local)
    with listener(local.base_port):
        state = store.up()
        assert state.port > local.base_port
        assert f"port {local.base_port} is in use" in state.notes[0]
    store.stop()
    assert store.start().port == state.port
    store.stop()
    with listener(state.port), pytest.raises(PortInUseError, match="--new-port"):
        store.start()


def test_a_frozen_one_is_said_not_to_answer_within_two_seconds(store: Redis) -> None:
    pid = store.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        part = store.look()
        assert time.monotonic() - began < 2.2
        assert (part.running, part.answering) == (True, False)
        assert part.detail == "does not answer; `keelson logs redis`"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert store.look().answering


def test_a_disk_that_cannot_be_written_is_no_good_health(store: Redis) -> None:
    (store.directory / "dump.rdb").mkdir()
    with store.client() as admin:
        admin.config_set("appendonly", "no")
        admin.set("k", "v")
        with contextlib.suppress(redis.ResponseError):
            admin.bgsave()
        wait_until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    assert store.look().detail.startswith("cannot write its data to the disk")


def test_a_wrong_access_list_is_named_by_its_line(store: Redis) -> None:
    store.stop()
    with (store.directory / "users.acl").open("a") as file:
        file.write("user x_app on nonsense\n")
    with pytest.raises(ServerError, match=r"users\.acl:5"):
        store.start()


def test_what_is_not_keelsons_is_left_alone(local: LocalStack) -> None:
    store = Redis(local)
    store.directory.mkdir(parents=True)
    (store.directory / "dump.rdb").write_bytes(b"another's")
    with pytest.raises(ServerError, match="neither empty nor Keelson's"):
        store.up()
    assert (store.directory / "dump.rdb").read_bytes() == b"another's"


def test_a_removed_one_leaves_nothing(store: Redis, make_stack: Callable[[str], LocalStack]) -> None:
    assert make_stack
    pid = store.pid
    daemon.remove(store.local.key, "redis")
    volume.remove(store.local.key, store.local.stack_id, "redis")
    assert not Path(f"/proc/{pid}").exists()
    assert not store.directory.exists()
    assert not registry.Registry(store.local.key).has_password("redis", "admin")
