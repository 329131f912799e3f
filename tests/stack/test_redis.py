"""Redis as a part of a whole stack, by the real engine and command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
import redis

from tests.stack.harness import StackUnderTest, notes_up, wait_until

SPLIT = {
    "cache": {"maxmemory": "64mb"},
    "sessions": {"maxmemory": "64mb", "maxmemory_policy": "noeviction", "databases": {"sessions": 3}},
}


@pytest.fixture(scope="module")
def running(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """A stack with one service and one Redis, up."""
    return notes_up(make_shared_stack, redis={"redis": {}})


def _client(stack: StackUnderTest, service: str = "notes", database: str = "general", *more: str) -> redis.Redis:
    url = stack.keelson("url", service, "--redis", database, *more).stdout.strip()
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=5)


@pytest.mark.everywhere
def test_an_application_uses_each_database_by_its_url(running: StackUnderTest) -> None:
    for number, name in enumerate(("general", "cache", "sessions")):
        with _client(running, database=name) as app:
            app.set(f"notes:{name}", "x")
            assert app.client_info()["db"] == number
            assert app.acl_whoami() == "notes_app"
            with pytest.raises(redis.exceptions.NoPermissionError):
                app.get("other:key")


def test_a_second_up_changes_nothing(running: StackUnderTest) -> None:
    said = running.keelson("up").stdout
    assert "unchanged" in said
    assert not [word for word in ("created", "updated", "replaced", "deleted") if word in said]


@pytest.mark.everywhere
def test_env_names_every_database(running: StackUnderTest) -> None:
    values = json.loads(running.keelson("env", "notes", "--json").stdout)
    assert values["REDIS_KEY_PREFIX"] == "notes:"
    assert values["REDIS_URL"] == values["REDIS_GENERAL_URL"]
    for name, number in {"GENERAL": 0, "CACHE": 1, "SESSIONS": 2}.items():
        url = urlsplit(values[f"REDIS_{name}_URL"])
        assert url.path == f"/{number}"
        assert url.scheme == "rediss"
        assert parse_qs(url.query)["ssl_ca_certs"] == [values["REDIS_CA_FILE"]]
    with redis.Redis.from_url(values["REDIS_SESSIONS_URL"]) as app:
        assert app.set("notes:k", "v")


@pytest.mark.everywhere
def test_redis_cli_opens_a_database_by_name_or_number(running: StackUnderTest) -> None:
    running.keelson("redis-cli", "notes", "--database", "sessions", "--", "set", "notes:greeting", "hello")
    assert running.keelson("redis-cli", "notes", "-d", "2", "--", "get", "notes:greeting").stdout == "hello\n"
    assert running.keelson("redis-cli", "notes", "--", "get", "notes:greeting").stdout == "\n"
    assert "NOPERM" in running.keelson("redis-cli", "notes", "--", "keys", "*").stdout
    keys = running.keelson("redis-cli", "notes", "-d", "sessions", "--role", "admin", "--", "keys", "*").stdout
    assert "notes:greeting" in keys.splitlines()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("url", "notes", "--redis", "cahce"), "has no Redis database 'cahce'; it has general, cache, sessions, or"),
        (("redis-cli", "notes", "-d", "16"), "has no Redis database '16'"),
        (("redis-cli", "nots"), "has no service 'nots'; it has notes"),
        (("redis-cli", "notes", "--role", "readonly"), "a Redis has no role 'readonly'; it has app, admin"),
        (("url", "notes", "--redis", "cache", "--form", "jdbc"), "leave out --form jdbc"),
    ],
)
def test_a_typo_is_one_sentence_with_the_known_names(
    running: StackUnderTest, arguments: tuple[str, ...], said: str
) -> None:
    refused = running.keelson(*arguments, check=False)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_status_shows_it_and_says_when_it_is_frozen(running: StackUnderTest) -> None:
    parts = {part["name"]: part for part in json.loads(running.keelson("status", "--json").stdout)["parts"]}
    assert (parts["redis"]["kind"], parts["redis"]["answering"]) == ("redis", True)
    with running.frozen("redis"):
        shown = running.keelson("status", check=False)
        assert shown.returncode == 1
        assert "does not answer" in shown.stdout
    assert running.keelson("status").returncode == 0


def test_data_survive_a_kill_and_a_stop(running: StackUnderTest) -> None:
    with _client(running) as app:
        app.set("notes:kept", "x")
    running.kill("redis")
    wait_until(lambda: running.keelson("status", check=False).returncode == 0, "Redis is back", seconds=10)
    with _client(running) as app:
        assert app.get("notes:kept") == "x"
    running.keelson("stop")
    assert not running.pid("redis")
    running.keelson("start")
    with _client(running) as app:
        assert app.get("notes:kept") == "x"


def test_a_service_that_is_added_gets_its_user_and_one_that_goes_loses_it(running: StackUnderTest) -> None:
    running.write_service("billing")
    running.keelson("up")
    with _client(running, "billing") as app:
        app.set("billing:k", "v")
        with pytest.raises(redis.exceptions.NoPermissionError):
            app.get("notes:kept")
    with _client(running, "notes", "general", "--role", "admin") as admin:
        admin.acl_setuser("reports_app", enabled=True, nopass=True)
        for path in (running.root / "sql/billing").rglob("*.*"):
            path.unlink()
        for path in sorted((running.root / "sql/billing").rglob("*"), reverse=True):
            path.rmdir()
        (running.root / "sql/billing").rmdir()
        running.keelson("up")
        assert {"notes_app", "reports_app"} <= set(admin.acl_users())
        assert "billing_app" not in admin.acl_users()


def test_a_password_that_the_user_chose_is_used_and_no_password_shows(running: StackUnderTest) -> None:
    chosen = {"admin": "an admin's own %40 choice", "notes_app": "an app's own %40 choice"}
    pid = running.pid("redis")
    for user, password in chosen.items():
        running.pulumi("config", "set", "--path", f"keelson:redis.redis.passwords.{user}", password, "--secret")
    said = running.keelson("up")
    with _client(running) as app:
        assert app.acl_whoami() == "notes_app"
    with _client(running, "notes", "general", "--role", "admin") as admin:
        assert admin.acl_whoami() == "admin"
        assert admin.get("notes:kept") == "x"
    assert running.pid("redis") != pid
    shown = said.stdout + said.stderr + running.pulumi("preview", "--diff").stdout
    shown += running.pulumi("stack", "export").stdout + running.shown()
    kept = running.passwords()
    assert {kept[f"redis/{user}"] for user in chosen} == set(chosen.values())
    assert not [name for name, password in kept.items() if name.startswith("redis/") and password in shown]


def test_a_password_for_nobody_is_refused_before_anything_changes(running: StackUnderTest) -> None:
    before = running.settings["redis"]
    running.write_settings(redis={"redis": {"passwords": {"nots_app": "x" * 20}}})
    refused = running.keelson("up", check=False)
    running.write_settings(redis=before)
    assert refused.returncode == 1
    assert "names 'nots_app'; the users are admin, backup, monitor, notes_app" in refused.stderr + refused.stdout


def test_one_for_clients_without_tls_answers_in_clear_until_an_update_encrypts_it(running: StackUnderTest) -> None:
    before = running.settings["redis"]
    with _client(running) as app:
        app.set("notes:kept", "x")
    running.write_settings(redis={"redis": {"tls": False}})
    running.keelson("up")
    assert "REDIS_CA_FILE" not in running.keelson("env", "notes").stdout
    assert running.keelson("status").returncode == 0
    assert running.keelson("redis-cli", "notes", "--", "get", "notes:kept").stdout == "x\n"
    with _client(running) as plain:
        assert plain.get("notes:kept") == "x"
        running.write_settings(redis=before)
        assert "redis-process" in running.pulumi("preview").stdout
        running.keelson("up")
        with pytest.raises(redis.ConnectionError):
            plain.ping()
    with _client(running) as app:
        assert app.get("notes:kept") == "x"


def _jobs(stack: StackUnderTest) -> set[str]:
    return {name.removesuffix(".json") for name in stack.sh('ls "$STATE/jobs"').split()}


def test_several_hold_a_database_each_and_destroy_leaves_nothing(running: StackUnderTest) -> None:
    running.write_settings(redis=SPLIT)
    running.keelson("up")
    values = json.loads(running.keelson("env", "notes", "--json").stdout)
    assert {name for name in values if name.startswith("REDIS")} == {
        "REDIS_URL",
        "REDIS_KEY_PREFIX",
        "REDIS_CA_FILE",
        "REDIS_CACHE_URL",
        "REDIS_SESSIONS_URL",
    }
    assert urlsplit(values["REDIS_CACHE_URL"]).path == "/0"
    assert urlsplit(values["REDIS_SESSIONS_URL"]).path == "/3"
    policies = []
    for name in SPLIT:
        with _client(running, "notes", name, "--role", "admin") as admin:
            policies.append(admin.config_get("maxmemory-policy")["maxmemory-policy"])
    assert policies == ["allkeys-lru", "noeviction"]
    assert all(running.pid(name) for name in SPLIT)
    assert _jobs(running) == {"backup-notes", "drill-notes", *(f"backup-{name}" for name in SPLIT)}
    running.keelson("destroy", "--yes")
    assert not running.running()
    assert not any(running.has_data(name) for name in SPLIT)
