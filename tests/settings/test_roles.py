"""The bounds of logins in the settings: what holds where they say nothing, and what they may not promise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keelson.errors import SettingsError
from keelson.postgres.bounds import Bounds
from keelson.settings.networks import rules_of
from keelson.settings.roles import bounds_of
from keelson.settings.stack import Stack, read_stack


def stack_of(root: Path, services: dict[str, str], *, target: str = "local", **settings: object) -> Stack:
    for name, text in services.items():
        folder = root / "sql" / name
        folder.mkdir(parents=True)
        (folder / "database.yaml").write_text(f"server: main\n{text}")
    config = {"keelson:environment": "dev", "keelson:target": target}
    return read_stack(
        config
        | {f"keelson:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()},
        "keelson",
        "dev",
        root,
    )


def refusal(root: Path, services: dict[str, str], **settings: object) -> str:
    with pytest.raises(SettingsError) as caught:
        stack_of(root, services, **settings)
    return str(caught.value)


def test_no_service_can_take_all_of_a_server(tmp_path: Path) -> None:
    found = bounds_of(stack_of(tmp_path, {"auth": ""}), "auth")
    assert {login: bounds.connections for login, bounds in found.items()} == {
        "auth_migrator": 10,
        "auth_app_a": 50,
        "auth_app_b": 50,
        "auth_readonly_a": 20,
        "auth_readonly_b": 20,
    }
    assert found["auth_app_a"] == Bounds(50, ("public",), "5min", "30s", "5min")
    assert found["auth_migrator"].statement_timeout == "0"


def test_a_smaller_server_leaves_less(tmp_path: Path) -> None:
    found = bounds_of(stack_of(tmp_path, {"auth": ""}, postgres={"max_connections": 40}), "auth")
    assert (found["auth_app_a"].connections, found["auth_readonly_a"].connections) == (10, 5)


def test_a_service_says_what_differs_from_the_stack_and_a_login_what_differs_from_its_kind(tmp_path: Path) -> None:
    text = """\
bounds: {app: {statement_timeout: 2s, connections: 30}}
logins:
  auth_robot: {inherits: app, bounds: {connections: 3, search_path: [public, events]}}
  auth_viewer: {privileges: [select]}
"""
    bounds = {"app": {"statement_timeout": "1s", "lock_timeout": "1s"}, "readonly": {"statement_timeout": "0"}}
    found = bounds_of(stack_of(tmp_path, {"auth": text}, bounds=bounds), "auth")
    assert found["auth_app_b"] == Bounds(30, ("public",), "2s", "1s", "5min")
    assert found["auth_robot"] == Bounds(3, ("public", "events"), "2s", "1s", "5min")
    assert found["auth_viewer"] == found["auth_readonly_a"]
    assert found["auth_viewer"].statement_timeout == "0"


def test_the_older_name_of_the_limit_still_holds(tmp_path: Path) -> None:
    found = bounds_of(stack_of(tmp_path, {"auth": "connection_limit: 7\n"}), "auth")
    assert {found["auth_app_a"].connections, found["auth_readonly_b"].connections} == {7}
    assert found["auth_migrator"].connections == 10


def test_more_connections_than_a_server_takes_are_refused_in_one_sentence(tmp_path: Path) -> None:
    services = {
        "auth": "bounds: {app: {connections: 60}}\n",
        "signals": "bounds: {app: {connections: 30}, readonly: {connections: 5}}\n",
        "trading": "",
    }
    assert refusal(tmp_path, services, postgres={"max_connections": 100}) == (
        "Pulumi.dev.yaml: the services of the server main may open 95 connections at once (auth 60, signals 35), and it has 90 for them "
        "(max_connections is 100, 10 are for administrators and backups); lower 'connections' of them, or raise max_connections"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bounds: {app: {statement_timeout: soon}}", "the setting 'bounds.app.statement_timeout' is wrong"),
        ("bounds: {app: {connections: -2}}", "the setting 'bounds.app.connections' is wrong"),
        ('bounds: {app: {search_path: ["a; DROP"]}}', "the setting 'bounds.app.search_path.0' is wrong"),
        ("bounds: {apps: {}}", "unknown setting 'bounds.apps'; did you mean 'app'?"),
        ("logins: {backup: {inherits: app}}", "the login 'backup' of 'logins' is the backup's already"),
        ("groups: {backup: {}}", "the group 'backup' of 'groups' is the backup's already"),
        (
            "logins: {dora: {member_of: [clerks]}}",
            "sql/auth/database.yaml: the login 'dora' is in the group 'clerks', which 'groups' does not name; there are none",
        ),
        (
            "logins: {dora: {member_of: [clerk]}}\ngroups: {clerks: {}}",
            "the login 'dora' is in the group 'clerk', which 'groups' does not name; known are clerks",
        ),
        ("logins: {dora: {}}\ngroups: {dora: {}}", "'groups' and 'logins' both name 'dora'"),
        ("groups: {clerks: {inherits: app}}", "unknown setting 'groups.clerks.inherits'"),
    ],
)
def test_what_cannot_be_is_told_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, {"auth": f"{text}\n"})


def test_a_login_is_held_by_what_its_groups_may(tmp_path: Path) -> None:
    text = """\
groups:
  readers: {privileges: [select]}
  clerks: {grants: {auth.users: [select, update]}}
logins:
  dora: {member_of: [readers]}
  emil: {member_of: [readers, clerks]}
"""
    stack = stack_of(tmp_path, {"auth": text})
    found = bounds_of(stack, "auth")
    assert {login: found[login].statement_timeout for login in ("dora", "emil")} == {"dora": "15min", "emil": "5min"}
    assert not {"readers", "clerks"} & found.keys()
    assert not [line for line in rules_of(stack, "main") if "clerks" in line]
