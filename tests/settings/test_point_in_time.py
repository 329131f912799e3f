"""Archives of servers, by the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keelson.settings import demand
from keelson.settings.point_in_time import is_archived
from keelson.settings.stack import StackSettings
from tests.settings.test_roles import refusal, stack_of


def _told(**more: object) -> dict[str, object]:
    return {"point_in_time": {"enabled": True, "encryption": "AES256"} | more}


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


IN_BUCKET: dict[str, Any] = {
    "target": "kubernetes",
    "servers": {"main": {"ha": True}},
    "backup": {
        "bucket": {"name": "backups", "access_key": "key", "endpoint": "https://s3.example:9000"},
        "recipients": [],
    },
    "point_in_time": {"enabled": True, "encryption": "AES256"},
}


def test_a_server_of_several_instances_is_archived_in_a_bucket(tmp_path: Path) -> None:
    settings = stack_of(tmp_path, {"auth": ""}, **IN_BUCKET).settings
    assert is_archived(settings, "main")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"servers": {"main": {}}}, "'point_in_time' of main is for servers of several instances on kubernetes"),
        ({"backup": {}}, "'point_in_time' of main needs a bucket on kubernetes; name it with keelson:backup.bucket"),
        ({"point_in_time": True}, "set keelson:point_in_time.encryption to AES256 or aws:kms"),
        (_told(passphrase="x" * 12), "'passphrase' of keelson:point_in_time is for archives in directories"),
        (_told(directory="/srv"), "'directory' of keelson:point_in_time is for archives in directories"),
        (_told(time_zone="Europe/Berlin"), "'time_zone' of keelson:point_in_time is UTC on kubernetes"),
        (_told(drill="weekly"), "'drill' of keelson:point_in_time is for local and docker"),
        (_told(archive="No/Name"), "keelson:point_in_time.archive"),
        (
            {"backup": IN_BUCKET["backup"] | {"bucket": IN_BUCKET["backup"]["bucket"] | {"path_style": False}}},
            "'path_style' of keelson:backup.bucket cannot be chosen with 'point_in_time' on kubernetes",
        ),
    ],
)
def test_what_keeps_a_server_from_being_archived_in_a_bucket_is_said(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    said = refusal(tmp_path, {"auth": ""}, **IN_BUCKET | changed)
    assert words in said
    assert "\n" not in said


def test_what_archives_an_instance_counts_in_what_a_stack_asks_for(tmp_path: Path) -> None:
    def asked(name: str, **changed: object) -> dict[str, float]:
        stack = stack_of(tmp_path / name, {"auth": ""}, **IN_BUCKET | changed)
        return demand.asked(stack.settings, stack.databases)

    archived, plain = asked("archived"), asked("plain", point_in_time=False)
    assert archived["memory"] - plain["memory"] == 4 * 512 * 2**20  # three instances, and one that is copied
    assert archived["cpus"] > plain["cpus"]
    assert (archived["pods"], archived["storage"]) == (plain["pods"], plain["storage"])
