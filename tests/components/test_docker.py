"""Target docker on Pulumi's mocks: what it makes for each part, and what a destroy or an edit may not touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from keelson.settings.stack import read_stack
from tests.stack.harness import NOTES

PASSWORD = "chosen by the user"
IMAGES = {
    name: {"reference": f"registry.example/{name}:1", "uid": 999, "gid": 999}
    for name in ("postgres", "timescaledb", "redis", "pgadmin", "agent")
}
CONTAINER = "docker:index/container:Container"
VOLUME = "docker:index/volume:Volume"


class Recorder(pulumi.runtime.Mocks):
    """Answers as the engine would, and remembers what was registered, with its options."""

    def __init__(self) -> None:
        self.inputs: dict[str, dict[str, Any]] = {}
        self.options: dict[str, resource_pb2.RegisterResourceRequest] = {}
        self.types: dict[str, str] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.inputs[args.name], self.types[args.name] = args.inputs, args.typ
        computed = {"stack_id": "0123456789ab", "image_id": "sha256:1", "published_port": 5433, "listens_on": 5433}
        known = {"digest": "d", "mark": "m", "version": "1", "pending": ""}
        return f"{args.name}-id", {**computed, **known, **args.inputs}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(args.token)

    def of_type(self, kind: str) -> set[str]:
        return {name for name, each in self.types.items() if each == kind}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    usual = mocks.MockMonitor.RegisterResource

    def register(monitor: mocks.MockMonitor, request: resource_pb2.RegisterResourceRequest) -> Any:
        found.options[request.name] = request
        return usual(monitor, request)

    monkeypatch.setattr(mocks.MockMonitor, "RegisterResource", register)
    pulumi.runtime.set_mocks(found, project="keelson", stack="docker", preview=False)
    return found


def _platform(root: Path, **settings: Any) -> Any:
    from components.platform import Platform  # noqa: PLC0415 - after the mocks are set

    for name, text in NOTES.items():
        path = root / "sql" / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    usual = {"environment": "dev", "target": "docker", "servers": {"main": {}}, "docker": {"image": IMAGES}}
    config = {
        f"keelson:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in (usual | settings).items()
    }
    return Platform(read_stack(config, "keelson", "docker", root))


def _made(platform: Any) -> pulumi.Output[Any]:
    outputs = [platform.databases["notes"].access.urn, platform.databases["notes"].backup.urn]
    return pulumi.Output.all(*outputs, platform.pgadmin.port, platform.agent.port)


@pulumi.runtime.test
def test_a_part_is_volumes_files_a_container_and_a_wait(recorder: Recorder, tmp_path: Path) -> pulumi.Output[None]:
    platform = _platform(tmp_path)

    def look(_: Any) -> None:
        assert recorder.of_type(CONTAINER) == {"toolbox", "main", "redis", "pgadmin", "agent"}
        of_parts = {f"{part}-{what}" for part in ("main", "redis", "pgadmin") for what in ("data", "config")}
        assert recorder.of_type(VOLUME) == {"state", "backups", *of_parts}
        for part in ("main", "redis", "pgadmin", "agent"):
            assert {f"{part}-image", f"{part}-files", f"{part}-process"} <= recorder.inputs.keys()
        networks = recorder.of_type("docker:index/network:Network")
        assert {name: recorder.inputs[name].get("internal", False) for name in networks} == {
            "keelson-docker": True,
            "keelson-docker-admin": True,
            "keelson-docker-ports": False,
        }

    return _made(platform).apply(look)


@pulumi.runtime.test
def test_an_archive_is_a_volume_that_stays_and_that_only_its_server_writes(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    platform = _platform(tmp_path, point_in_time={"enabled": True, "passphrase": PASSWORD.replace(" ", "-")})

    def look(_: Any) -> None:
        assert {"main-archive-data"} == recorder.of_type(VOLUME) - {"state", "backups"} - {
            f"{part}-{what}" for part in ("main", "redis", "pgadmin") for what in ("data", "config")
        }
        seen = {
            name: [
                (each["containerPath"], each["readOnly"])
                for each in given["volumes"]
                if "-archive" in each["volumeName"]
            ]
            for name, given in recorder.inputs.items()
            if recorder.types[name] == CONTAINER
        }
        reading = [("/var/lib/keelson/archives/main", True)]
        assert seen == {"main": [("/archive", False)], "toolbox": reading, "agent": reading, "redis": [], "pgadmin": []}
        assert recorder.options["main-archive-data"].retainOnDelete
        assert PASSWORD.replace(" ", "-") not in json.dumps(recorder.inputs["main"], default=str)

    return _made(platform).apply(look)


@pulumi.runtime.test
def test_a_container_has_no_rights_and_no_password(recorder: Recorder, tmp_path: Path) -> pulumi.Output[None]:
    redis = {"redis": {"passwords": {"admin": PASSWORD}}}
    platform = _platform(tmp_path, passwords={"notes_app_a": PASSWORD}, redis=redis, pgadmin={"password": PASSWORD})

    def look(_: Any) -> None:
        for name in recorder.of_type(CONTAINER):
            given = recorder.inputs[name]
            assert (given["readOnly"], given["user"], given["restart"]) == (True, "999:999", "unless-stopped")
            assert given["capabilities"]["drops"] == ["ALL"]
            assert not given["capabilities"].get("adds")
            assert given["securityOpts"] == ["no-new-privileges:true"]
            assert given["logOpts"] == {"max-size": "10m", "max-file": "5"}
            assert PASSWORD not in json.dumps(given, default=str)
            assert all(each["ip"] == "127.0.0.1" for each in given.get("ports", ()))
        assert not [name for name in recorder.of_type(CONTAINER) - {"toolbox"} if not recorder.inputs[name]["memory"]]

    return _made(platform).apply(look)


@pulumi.runtime.test
def test_who_is_on_which_network(recorder: Recorder, tmp_path: Path) -> pulumi.Output[None]:
    platform = _platform(tmp_path)

    def look(_: Any) -> None:
        found = {name: _networks(recorder.inputs[name]) for name in recorder.of_type(CONTAINER)}
        assert found == {
            "toolbox": {"", "-admin"},
            "main": {"", "-admin", "-ports"},
            "redis": {"", "-ports"},
            "pgadmin": {"-admin", "-ports"},
            "agent": {"", "-admin", "-ports"},
        }

    return _made(platform).apply(look)


def _networks(container: dict[str, Any]) -> set[str]:
    found = [container["networkMode"], *(each["name"] for each in container["networksAdvanced"])]
    return {name.removeprefix("keelson-docker") for name in found}


@pulumi.runtime.test
def test_a_volume_is_never_replaced_and_only_backups_outlive_a_dev_stack(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    platform = _platform(tmp_path)

    def look(_: Any) -> None:
        assert {name for name in recorder.of_type(VOLUME) if recorder.options[name].retainOnDelete} == {"backups"}
        assert not {name for name in recorder.of_type(VOLUME) if recorder.options[name].protect}
        for name in recorder.of_type(VOLUME):
            if not name.endswith("-config"):
                assert set(recorder.options[name].ignoreChanges) == {"labels", "driver", "driverOpts"}

    return _made(platform).apply(look)


@pulumi.runtime.test
def test_a_protected_stack_keeps_data_state_and_backups(recorder: Recorder, tmp_path: Path) -> pulumi.Output[None]:
    platform = _platform(tmp_path, environment="prod")

    def look(_: Any) -> None:
        kept = {"state", "backups", "main-data", "redis-data", "pgadmin-data"}
        assert {name for name in recorder.of_type(VOLUME) if recorder.options[name].retainOnDelete} == kept
        assert {name for name in recorder.of_type(VOLUME) if recorder.options[name].protect} == kept
        assert recorder.inputs["main-files"]["data_stays"] is True

    return _made(platform).apply(look)


@pulumi.runtime.test
def test_what_lies_on_a_volume_goes_with_it_unasked(recorder: Recorder, tmp_path: Path) -> pulumi.Output[None]:
    platform = _platform(tmp_path)

    def look(_: Any) -> None:
        gone_with = {name: each.deletedWith.rpartition("::")[2] for name, each in recorder.options.items()}
        for name in ("main-files", "main-process", "docker", "docker-entry", "docker-settings", "notes-backup"):
            assert gone_with[name] == "state"
        for name in ("notes", "notes-roles", "notes-schema", "notes-seeds"):
            assert gone_with[name] == "main-data"

    return _made(platform).apply(look)


@pulumi.runtime.test
def test_without_published_ports_no_container_has_one(recorder: Recorder, tmp_path: Path) -> pulumi.Output[None]:
    platform = _platform(tmp_path, docker={"image": IMAGES, "publish": False})

    def look(_: Any) -> None:
        for name in recorder.of_type(CONTAINER):
            assert not recorder.inputs[name].get("ports")
        named = {each["name"]: each["aliases"] for each in recorder.inputs["main"]["networksAdvanced"]}
        assert named == {"keelson-docker": ["main"], "keelson-docker-admin": ["main"]}

    return _made(platform).apply(look)
