"""A Redis in a container: what it starts with, what it may lose, and what is put right."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import redis
from cryptography import x509
from redis.backoff import NoBackoff
from redis.retry import Retry

from keelson.backups.making import Source
from keelson.containers.model import STATE_PATH
from keelson.docker import answers, images, names
from keelson.endpoint import Reference
from keelson.errors import ServerError
from tests.docker.ground import Ground, ground
from tests.local.conftest import wait_until

SETTINGS: dict[str, Any] = {
    "maxmemory": "64mb",
    "maxmemory_policy": "allkeys-lru",
    "databases": {"general": 0, "cache": 1, "sessions": 2},
    "notify_keyspace_events": "KEA",
    "append_only": True,
    "tls": "TLSv1.3",
}


@dataclass
class Redis:
    """The Redis of a stack under test."""

    on: Ground
    name: str
    settings: dict[str, Any] = field(default_factory=SETTINGS.copy)

    def up(self, chosen: dict[str, str] | None = None, **settings: Any) -> None:
        self.settings |= settings
        self.on.up(self.on.spec(self.name, "redis", "redis", **self.settings), chosen)

    def client(self, user: str = "admin", **more: Any) -> redis.Redis:
        address = self.on.target.locate(self.on.key, self.name)
        login = {"username": user, "password": self.on.ask("password", server=self.name, role=user)} if user else {}
        return redis.Redis(
            host=address.host,
            port=address.port,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            **login,
            **{"ssl": bool(address.root_certificate), "ssl_ca_certs": str(address.root_certificate)} | more,
        )

    def answers(self) -> bool:
        try:
            with self.client() as admin:
                return bool(admin.ping())
        except (redis.RedisError, OSError):
            return False

    @property
    def started(self) -> str:
        return str(self.on.container(self.name).attrs["State"]["StartedAt"])

    def kill(self) -> None:
        """End it as a machine's failure would: with a kill that the daemon takes for a crash."""
        before = self.started
        self.on.container(self.name).kill("SIGKILL")
        self.on.container(self.name).start()
        wait_until(lambda: self.started != before and self.answers())

    def run(self, *command: str) -> str:
        return answers.run(self.on.container(self.name), *command)


@pytest.fixture(scope="module")
def on(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with ground(docker_host) as made:
            images.build(made.client, ["redis"], lambda *_: None)
            yield made


@pytest.fixture(scope="module")
def shared(on: Ground) -> Redis:
    made = Redis(on, "redis")
    made.up()
    return made


def test_it_starts_as_the_settings_say_and_is_closed_to_all_without_a_password(shared: Redis) -> None:
    with shared.client() as admin:
        wanted = {"maxmemory": str(64 << 20), "maxmemory-policy": "allkeys-lru", "appendonly": "yes", "dir": "/data"}
        assert {name: admin.config_get(name)[name] for name in wanted} == wanted
        assert set(admin.acl_users()) == {"default", "admin", "backup", "monitor"}
    with shared.client("") as anybody, pytest.raises(redis.AuthenticationError):
        anybody.ping()
    with shared.client(ssl=False) as plain, pytest.raises(redis.ConnectionError):
        plain.ping()
    wait_until(lambda: shared.on.container("redis").attrs["State"]["Health"]["Status"] == "healthy")


def test_no_password_stands_in_what_the_daemon_shows_of_it(shared: Redis) -> None:
    shown = str(shared.on.container("redis").attrs)
    assert not any(shared.on.ask("password", server="redis", role=role) in shown for role in ("admin", "monitor"))
    listed = shared.run("sh", "-c", "cat /proc/1/cmdline; ls -ln /data /etc/keelson")
    assert shared.on.ask("password", server="redis", role="monitor") not in listed
    assert "-rw-------" in listed
    assert "-rw-r--r--" not in listed


def test_changed_settings_reach_a_running_one_without_a_restart(shared: Redis) -> None:
    before = shared.started
    shared.up(maxmemory="96mb", maxmemory_policy="noeviction", notify_keyspace_events="")
    assert shared.started == before
    with shared.client() as admin:
        assert admin.config_get("maxmemory")["maxmemory"] == str(96 << 20)
        assert admin.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_a_renewed_certificate_is_taken_and_open_connections_live_on(shared: Redis) -> None:
    before, old = shared.started, _shown_by(shared)
    shared.on.container(names.TOOLBOX).exec_run(["sh", "-c", f"rm {STATE_PATH}/keelson/stacks/*/tls/redis/server.*"])
    with shared.client() as admin, admin.pubsub() as news:
        news.subscribe("here")
        assert news.get_message(timeout=5)
        shared.up()
        assert _shown_by(shared) != old
        assert admin.publish("here", "still") == 1
        assert news.get_message(timeout=5)["data"] == "still"
    assert shared.started == before


def test_its_certificate_names_it_and_is_among_those_of_the_stack(shared: Redis) -> None:
    found = x509.load_pem_x509_certificate(_shown_by(shared).encode())
    named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "redis", names.container(shared.on.key, "redis")} <= set(
        named.get_values_for_type(x509.DNSName)
    )
    (known,) = [each for each in shared.on.target.certificates(shared.on.key) if each.server == "redis"]
    assert known.expires == found.not_valid_after_utc


def test_it_is_backed_up_inside_by_its_name(shared: Redis) -> None:
    with shared.client() as admin:
        admin.set("auth:backed", "up")
    reference = Reference(stack=shared.on.key, target=shared.on.place, server="redis", database="0", role="admin")
    assert "redis" in shared.on.target.back_up(Source("redis", reference), "by hand", None)


def test_one_of_which_no_port_is_published_is_verified_through_the_toolbox(on: Ground) -> None:
    store = Redis(on, "inner")
    on.up(replace(on.spec("inner", "redis", "redis", **store.settings), published=False))
    address = on.target.locate(on.key, "inner")
    assert address.fleeting
    with store.client() as admin:
        assert admin.ping()
    assert on.target.locate_inside(on.key, "inner").encrypted


def test_one_of_an_older_release_is_encrypted_by_an_update_and_keeps_its_keys(on: Ground) -> None:
    store = Redis(on, "older")
    store.up(tls="")
    with store.client(ssl=False) as plain:
        plain.set("k", "v")
    on.container("older").remove(force=True)  # as its health check is another one then
    store.up(tls="TLSv1.3")
    with store.client() as admin:
        assert admin.get("k") == "v"
    wait_until(lambda: on.container("older").attrs["State"]["Health"]["Status"] == "healthy")


def _shown_by(store: Redis) -> str:
    """The certificate by which it proves itself to new clients."""
    address = store.on.target.locate(store.on.key, store.name)
    return ssl.get_server_certificate((address.host, address.port))


def test_data_and_users_survive_a_restart_and_a_new_container(shared: Redis) -> None:
    with shared.client() as admin:
        admin.set("auth:k", "v", ex=1000)
        admin.acl_setuser("by_hand", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all"])
        admin.acl_save()
    shared.on.container("redis").restart()
    wait_until(shared.answers)
    shared.on.container("redis").remove(force=True)
    shared.up()
    with shared.client() as admin:
        assert admin.get("auth:k") == "v"
        assert "by_hand" in admin.acl_users()


def test_a_password_that_is_chosen_or_lost_is_put_right_and_all_data_stay(shared: Redis) -> None:
    with shared.client() as admin:
        admin.set("auth:kept", "v")
    shared.up({"admin": "chosen by the user"})
    with shared.client() as admin:
        assert admin.get("auth:kept") == "v"
    shared.on.ask("forget_passwords", server="redis")
    shared.up()
    assert shared.on.ask("password", server="redis", role="admin") != "chosen by the user"
    with shared.client() as admin:
        assert admin.get("auth:kept") == "v"
        assert "by_hand" in admin.acl_users()


@pytest.mark.parametrize("first", [True, False])
def test_the_log_of_changes_can_be_ended_and_begun_without_losing_a_key(on: Ground, first: bool) -> None:  # noqa: FBT001
    store = Redis(on, f"log-{first}".lower())
    for number, wanted in enumerate((first, not first)):
        store.up(append_only=wanted)
        with store.client() as admin:
            assert admin.config_get("appendonly")["appendonly"] == ("yes" if wanted else "no")
            assert admin.dbsize() == number
            admin.set(f"k{number}", "v")
            if not wanted:
                admin.save()
            else:
                admin.waitaof(1, 0, 5000)
        store.kill()
        with store.client() as admin:
            assert admin.dbsize() == number + 1
        assert ("appendonlydir" in store.run("ls", "/data")) is wanted


@pytest.mark.parametrize("step", ["choose", "remove"])
def test_a_change_of_the_log_that_is_cut_off_loses_nothing_and_is_done_again(
    on: Ground, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Redis(on, f"cut-{step}")
    store.up(append_only=step == "remove")  # the one is the last step of beginning, the other of ending
    with store.client() as admin:
        admin.set("k", "v")
        admin.save()

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"keelson.containers.redis.Log.{step}", cut)
        with pytest.raises(KeyboardInterrupt):
            store.up(append_only=step == "choose")
    store.kill()
    with store.client() as admin:
        assert admin.get("k") == "v"
    store.up()
    store.kill()
    with store.client() as admin:
        assert admin.get("k") == "v"


def test_killed_it_loses_at_most_what_was_acknowledged_in_the_last_second(shared: Redis) -> None:
    acknowledged: dict[int, float] = {}
    with shared.client() as admin:
        until, number = time.monotonic() + 1.5, 0
        while time.monotonic() < until:
            number += 1
            admin.set("counter", number)
            acknowledged[number] = time.monotonic()
    killed = time.monotonic()
    shared.kill()
    with shared.client() as admin:
        kept = int(admin.get("counter") or 0)
    assert all(killed - at <= 1 for value, at in acknowledged.items() if value > kept)


def test_one_that_cannot_start_says_why(on: Ground) -> None:
    store = Redis(on, "damaged")
    store.up()
    with store.client() as admin:
        for number in range(50):
            admin.set(f"k{number}", "x" * 100)
        admin.waitaof(1, 0, 5000)
    damage = "printf '%0400d' 0 | dd of=$(ls /data/appendonlydir/*.incr.aof) bs=1 seek=2000 conv=notrunc"
    store.run("sh", "-c", damage)
    on.container("damaged").restart(timeout=1)
    with pytest.raises(ServerError, match=r"damaged does not start: its log of changes is damaged .*docs/redis\.md"):
        store.up()
