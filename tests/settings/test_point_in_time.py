"""Archives of servers, by the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelson.settings.point_in_time import is_archived
from keelson.settings.stack import StackSettings
from tests.settings.test_roles import refusal, stack_of


def settings_of(root: Path, **settings: object) -> StackSettings:
    return stack_of(root, {"auth": ""}, **{"target": "local", **settings}).settings


def test_no_server_keeps_an_archive_unless_it_is_asked_for(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert not is_archived(settings, "main")


@pytest.mark.parametrize("said", [True, "true", {"enabled": True, "waiting": "1Gi"}])
def test_all_servers_keep_one_but_those_that_say_otherwise(tmp_path: Path, said: object) -> None:
    servers = {"main": {}, "timescale": {"timescaledb": True, "point_in_time": False}}
    settings = settings_of(tmp_path, servers=servers, point_in_time=said)
    assert [is_archived(settings, name) for name in servers] == [True, False]


def test_one_server_alone_may_keep_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, servers={"main": {"point_in_time": True}, "other": {}})
    assert [is_archived(settings, name) for name in ("main", "other")] == [True, False]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"target": "docker", "point_in_time": True},
            "'point_in_time' of main needs an image that has pgBackRest, and the official one is not known to; set `images: debian`",
        ),
        (
            {
                "target": "docker",
                "docker": {"images": "debian"},
                "point_in_time": {"enabled": True, "directory": "/mnt"},
            },
            "'point_in_time.directory' is for the target local",
        ),
        ({"target": "kubernetes", "point_in_time": True}, "on kubernetes take it out, and use CloudNativePG's own"),
        ({"target": "local", "point_in_time": {"schedule": "never"}}, "keelson:point_in_time"),
        ({"target": "local", "point_in_time": {"drill": "sometimes"}}, "keelson:point_in_time"),
        ({"target": "local", "point_in_time": {"enabled": True, "waiting": "much"}}, "keelson:point_in_time.waiting"),
        ({"target": "local", "point_in_time": {"passphrase": "short"}}, "passphrase must have 12 characters at least"),
        (
            {"target": "local", "environment": "prod", "point_in_time": True},
            "'point_in_time' of main needs a passphrase that outlives this machine; set one: `pulumi config set --secret",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path: Path, settings: dict[str, object], words: str) -> None:
    said = refusal(tmp_path, {"auth": ""}, **settings)
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("docker", [{"images": "debian"}, {"image": {"postgres": "registry.example/postgres:17"}}])
def test_on_docker_it_takes_an_image_that_is_not_the_official_one(tmp_path: Path, docker: dict[str, object]) -> None:
    settings = settings_of(tmp_path, target="docker", docker=docker, servers={"main": {}}, point_in_time=True)
    assert is_archived(settings, "main")


def test_a_protected_stack_with_a_passphrase_is_fine(tmp_path: Path) -> None:
    said = {"enabled": True, "passphrase": "of this stack alone"[:19].replace(" ", "-")}
    settings = settings_of(tmp_path, environment="prod", point_in_time=said)
    assert "of-this-stack" not in repr(settings)
