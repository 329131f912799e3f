"""Components on Pulumi's mocks: what a stack is made of, and how its parts hang together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from keelson.settings.stack import Stack, read_stack
from tests.stack.harness import NOTES

SECRET_MARK = "4dabf18193072939515e22adb298388d"


class Recorder(pulumi.runtime.Mocks):
    """Answers as the engine would, and remembers what was registered."""

    def __init__(self) -> None:
        self.resources: dict[str, mocks.MockResourceArgs] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources[args.name] = args
        computed = {"stack_id": "0123456789ab", "location": "/data", "listens_on": 5432, "version": "1", "pending": ""}
        return f"{args.name}-id", {**computed, **args.inputs}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(args.token)


@pytest.fixture
def recorder() -> Recorder:
    found = Recorder()
    pulumi.runtime.set_mocks(found, project="keelson", stack="dev", preview=False)
    return found


def _stack(root: Path, **settings: Any) -> Stack:
    for name, text in {**NOTES, "seeds/reference/001_units.sql": "SELECT 1;\n"}.items():
        path = root / "sql" / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    config = {"keelson:environment": "dev", "keelson:target": "local"} | {
        f"keelson:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()
    }
    return read_stack(config, "keelson", "dev", root)


def _platform(stack: Stack) -> Any:
    from components.platform import Platform  # noqa: PLC0415 - after the mocks are set

    return Platform(stack)


@pulumi.runtime.test
def test_a_service_has_roles_a_database_a_schema_seeds_and_access(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    platform = _platform(_stack(tmp_path))

    def look(_: Any) -> None:
        assert {
            "notes-roles",
            "notes-schema",
            "notes-seeds",
            "notes-access",
            "main-data",
            "main-process",
        } <= recorder.resources.keys()
        assert "notes-policies" not in recorder.resources
        assert recorder.resources["main-process"].inputs["discarded"] is True
        assert list(recorder.resources["notes-schema"].inputs["files"]) == ["001_notes.sql"]
        assert set(recorder.resources["notes-seeds"].inputs["files"]) == {
            "reference/001_units.sql",
            "dev/001_notes.sql",
        }

    return platform.databases["notes"].access.urn.apply(look)


@pulumi.runtime.test
def test_what_names_a_database_is_made_of_inputs_alone(recorder: Recorder, tmp_path: Path) -> pulumi.Output[None]:
    platform = _platform(_stack(tmp_path))

    def look(_: Any) -> None:
        assert recorder.resources["notes-schema"].inputs["reference"] == {
            "stack": "keelson-dev",
            "target": "local",
            "server": "main",
            "database": "notes",
            "role": "notes_migrator",
        }

    return platform.databases["notes"].access.urn.apply(look)


@pulumi.runtime.test
def test_chosen_passwords_reach_their_service_alone_and_as_secrets(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    platform = _platform(_stack(tmp_path, passwords={"notes_app_a": "chosen", "other_app_a": "not ours"}))

    def look(_: Any) -> None:
        given = recorder.resources["notes-roles"].inputs["passwords"]
        assert SECRET_MARK in given
        assert given["value"] == {"notes_app_a": "chosen"}

    return platform.databases["notes"].access.urn.apply(look)


@pulumi.runtime.test
def test_timescale_databases_get_the_extension_and_their_policies(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    (tmp_path / "sql/notes").mkdir(parents=True)
    (tmp_path / "sql/notes/timescale.yaml").write_text("hypertables: {}\n")
    stack = _stack(tmp_path, servers={"main": {"timescaledb": True}})
    platform = _platform(stack)

    def look(_: Any) -> None:
        assert recorder.resources["notes"].inputs["extensions"] == ["timescaledb"]
        assert recorder.resources["notes-policies"].inputs["definition"] == "sql/notes/timescale.yaml"

    return platform.databases["notes"].access.urn.apply(look)


def test_a_target_that_is_not_built_yet_is_refused_by_name(recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="the target 'docker' is not built yet; set keelson:target to local"):
        _platform(_stack(tmp_path, target="docker"))
    assert not {name for name in recorder.resources if name.startswith("notes")}


def test_every_test_of_this_module_that_looks_at_outputs_is_run_by_the_engine_loop() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    looking = re.findall(r"^(@pulumi.runtime.test\n)?def test_\w+\([^)]*\)( -> pulumi.Output)?", text, re.MULTILINE)
    assert sum(bool(returned) for _, returned in looking) == 4
    assert all(bool(decorated) == bool(returned) for decorated, returned in looking)
