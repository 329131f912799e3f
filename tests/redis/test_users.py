"""What a service's user of a Redis may, and how users come and go."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from keelson.errors import SettingsError
from keelson.local import daemon, registry, supervisor
from keelson.redis.users import check_chosen, ensure_users, missing_users
from tests.redis.conftest import Server

DATABASES = (0, 1, 2)
REFUSED = redis.exceptions.NoPermissionError


@pytest.fixture
def users(empty: Server) -> Server:
    """A Redis with the users of two services."""
    ensure_users(empty.reference, ["auth", "portfolio"], {}, DATABASES)
    with empty.client() as admin:
        admin.set("portfolio:secret", "theirs")
        admin.set("plain", "nobody's")
    return empty


def test_a_user_reads_and_writes_the_keys_of_its_service_in_every_database(users: Server) -> None:
    for number in DATABASES:
        with users.client("auth_app", number) as app:
            app.set("auth:k", number, ex=100)
            app.hset("auth:h", mapping={"a": 1})
            app.zadd("auth:z", {"a": 1})
            app.xadd("auth:x", {"a": 1})
            assert app.get("auth:k") == str(number)
            assert app.eval("return redis.call('get', KEYS[1])", 1, "auth:k") == str(number)
            assert app.info("server")["redis_version"]
            with app.pipeline() as pipe:
                assert pipe.incr("auth:n").incr("auth:n").execute() == [1, 2]


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "portfolio:secret"),
        ("SET", "portfolio:secret", "x"),
        ("GET", "plain"),
        ("GET", "authority:x"),
        ("EVAL", "return redis.call('get', 'portfolio:secret')", "0"),
        ("COPY", "portfolio:secret", "auth:stolen"),
        ("MGET", "auth:k", "portfolio:secret"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("RANDOMKEY",),
        ("EVAL", "return redis.call('scan', '0')", "0"),
        ("CLIENT", "TRACKING", "ON", "BCAST"),
        ("PUBSUB", "CHANNELS"),
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("SWAPDB", "0", "1"),
        ("SAVE",),
        ("SHUTDOWN",),
        ("DEBUG", "SLEEP", "0"),
        ("MONITOR",),
        ("SLOWLOG", "GET"),
        ("CLIENT", "LIST"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "auth_app", "~*"),
        ("FUNCTION", "FLUSH"),
        ("FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('x', function() return 1 end)"),
        ("SCRIPT", "FLUSH"),
        ("SYNC",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MIGRATE", "127.0.0.1", "1", "auth:k", "0", "1"),
    ],
    ids=lambda command: " ".join(command)[:40],
)
def test_a_user_is_refused_all_else(users: Server, command: tuple[str, ...]) -> None:
    with users.client("auth_app") as app, pytest.raises(redis.ResponseError, match=r"permissions? |ACL|not allowed"):
        app.execute_command(*command)


def test_a_user_hears_its_own_channels_and_the_news_of_its_own_keys(users: Server) -> None:
    with users.client("auth_app", 2) as app, app.pubsub() as news:
        news.psubscribe("auth:*", "__keyspace@2__:auth:*", "__keyspace@*__:auth:*")
        for _ in range(3):
            assert news.get_message(timeout=5)["type"] == "psubscribe"
        app.set("auth:session", "x")
        heard = news.get_message(timeout=5)
        assert (heard["channel"], heard["data"]) == ("__keyspace@2__:auth:session", "set")
        with app.pubsub() as others:
            for channel in ("portfolio:*", "__keyspace@2__:*", "__keyevent@2__:expired"):
                others.psubscribe(channel)
                with pytest.raises(REFUSED):
                    others.get_message(timeout=5)


def test_users_survive_a_restart_and_no_password_shows_anywhere(users: Server, directory: Path) -> None:
    chosen = "of-the-user's-own %40 choice"
    with users.client() as admin:
        admin.config_set("slowlog-log-slower-than", 0)
        with admin.monitor() as watched:
            ensure_users(users.reference, ["auth", "portfolio"], {"auth_app": chosen}, DATABASES)
            admin.set("the", "end")
            seen = ""
            while "the" not in (said := watched.next_command()["command"]).split():
                seen += said
        seen += str(admin.slowlog_get(128)) + str(admin.acl_log())
        admin.config_set("slowlog-log-slower-than", 10_000)
        admin.slowlog_reset()
    daemon.stop(users.local.key, users.name)
    daemon.start_again(users.local.key, users.name)
    with users.client("auth_app") as app:
        assert app.ping()
    seen += users.local.log(users.name) + (directory / "users.acl").read_text() + (directory / "redis.conf").read_text()
    kept = registry.Registry(users.local.key)
    for user in ("admin", "backup", "monitor", "auth_app", "portfolio_app"):
        assert kept.password(users.name, user) not in seen
    assert kept.password(users.name, "auth_app") == chosen


def test_the_user_of_a_service_that_is_gone_goes_and_one_made_by_hand_stays(users: Server) -> None:
    with users.client() as admin:
        admin.acl_setuser("reports_app", enabled=True, nopass=True, keys=["*"], commands=["+get"])
    with users.client("portfolio_app") as app:
        ensure_users(users.reference, ["auth"], {}, DATABASES, gone=["portfolio"])
        with pytest.raises(redis.ConnectionError):
            app.ping()
    with users.client() as admin:
        assert {"auth_app", "reports_app"} <= set(admin.acl_users())
        assert "portfolio_app" not in admin.acl_users()
        assert admin.get("portfolio:secret") == "theirs"
    assert missing_users(users.reference, ["auth", "portfolio"]) == {"portfolio"}


def test_a_second_time_changes_nothing_and_interrupts_nobody(users: Server) -> None:
    with users.client("auth_app") as app, app.pubsub() as news:
        news.subscribe("auth:news")
        assert news.get_message(timeout=5)["type"] == "subscribe"
        pid = supervisor.noted(users.local.key, users.name).pid
        ensure_users(users.reference, ["auth", "portfolio"], {}, DATABASES)
        assert app.publish("auth:news", "still here") == 1
        assert news.get_message(timeout=5)["data"] == "still here"
        assert supervisor.noted(users.local.key, users.name).pid == pid


def test_a_password_for_nobody_is_named() -> None:
    with pytest.raises(SettingsError, match=r"names 'auht_app'; the users are admin, backup, monitor, auth_app"):
        check_chosen("redis", {"auht_app": "x"}, ["auth"])
