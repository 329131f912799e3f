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


def read_again(stack: Stack) -> Stack:
    """Return the stack as its database.yaml files say now."""
    settings = {
        "keelson:environment": "dev",
        "keelson:target": "local",
        "keelson:backup": json.dumps({"time_zone": "Europe/Berlin", "keep_days": 7}),
    }
    return read_stack(settings, "keelson", "dev", stack.root)


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


@pulumi.runtime.test
def test_the_secret_of_a_bucket_reaches_the_jobs_as_a_secret_and_how_backups_are_kept_as_it_is(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    kept = {"name": "shop", "access_key": "a-key", "secret_key": "of-the-key"}
    platform = _platform(_stack(tmp_path, backup={"bucket": kept, "recipients": []}))

    def look(_: Any) -> None:
        job = recorder.resources["notes-backup"].inputs
        assert job["terms"]["bucket"]["name"] == "shop"
        assert SECRET_MARK in job["bucket_secret"]
        assert job["bucket_secret"]["value"] == "of-the-key"
        assert "of-the-key" not in str({name: value for name, value in job.items() if name != "bucket_secret"})

    return platform.databases["notes"].backup.urn.apply(look)


@pulumi.runtime.test
def test_a_stack_has_redis_pgadmin_an_agent_and_a_backup_job_for_all_that_holds_data(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    platform = _platform(_stack(tmp_path, backup={"schedule": "0 3 * * *", "keep_days": 7}))

    def look(_: Any) -> None:
        assert {"redis-data", "redis-process", "redis-users", "pgadmin-process", "agent-process"} <= set(
            recorder.resources
        )
        for name, engine in (("notes", "postgres"), ("redis", "redis")):
            job = recorder.resources[f"{name}-backup"].inputs
            assert (job["engine"], job["schedule"], job["keep_days"], job["keep_at_least"]) == (
                engine,
                "0 3 * * *",
                7,
                3,
            )
        drill = recorder.resources["notes-drill"].inputs
        assert (drill["schedule"], drill["time_zone"], drill["checks"]) == ("0 3 * * *", "UTC", {})
        assert "redis-drill" not in recorder.resources
        assert recorder.resources["redis-users"].inputs["services"] == ["notes"]
        entries = recorder.resources["pgadmin-process"].inputs["settings"]["entries"]
        assert [(entry["name"], entry["role"]) for entry in entries if entry["group"] == "main"] == [
            ("main (administrator)", "postgres"),
            ("notes", "notes_readonly_a"),
        ]

    return pulumi.Output.all(platform.pgadmin.port, platform.agent.port, platform.databases["notes"].backup.urn).apply(
        look
    )


@pulumi.runtime.test
def test_a_protected_stack_offers_no_administrator_in_pgadmin_and_keeps_the_data_of_redis(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    platform = _platform(_stack(tmp_path, environment="staging"))

    def look(_: Any) -> None:
        entries = recorder.resources["pgadmin-process"].inputs["settings"]["entries"]
        assert {entry["role"] for entry in entries} == {"notes_readonly_a"}

    return platform.pgadmin.port.apply(look)


@pulumi.runtime.test
def test_what_the_settings_leave_out_is_not_made(recorder: Recorder, tmp_path: Path) -> pulumi.Output[None]:
    without = {"redis": {}, "pgadmin": {"enabled": False}, "agent": {"enabled": False}}
    platform = _platform(_stack(tmp_path, **without))

    def look(_: Any) -> None:
        assert not {name for name in recorder.resources if name.startswith(("redis", "pgadmin", "agent"))}
        assert "notes-backup" in recorder.resources

    return platform.databases["notes"].backup.urn.apply(look)


@pulumi.runtime.test
def test_a_database_changes_what_the_stack_says_about_backups(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    (tmp_path / "sql/notes").mkdir(parents=True)
    stack = _stack(tmp_path)
    (tmp_path / "sql/notes/database.yaml").write_text(
        'server: main\nbackup: {schedule: "*/5 * * * *", keep_at_least: 9}\n'
    )
    platform = _platform(read_again(stack))

    def look(_: Any) -> None:
        job = recorder.resources["notes-backup"].inputs
        assert (job["schedule"], job["time_zone"], job["keep_days"], job["keep_at_least"]) == (
            "*/5 * * * *",
            "Europe/Berlin",
            7,
            9,
        )

    return platform.databases["notes"].backup.urn.apply(look)


@pulumi.runtime.test
def test_a_rotated_service_has_its_old_logins_ended_after_all_that_names_logins(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    platform = _platform(_stack(tmp_path, rotation={"notes": 2}, rotate_overlap=3))

    def look(_: Any) -> None:
        assert recorder.resources["notes-roles"].inputs["generation"] == 2
        entries = recorder.resources["pgadmin-process"].inputs["settings"]["entries"]
        assert [entry["role"] for entry in entries if entry["name"] == "notes"] == ["notes_readonly_b"]
        end = recorder.resources["notes-rotation"].inputs
        assert (end["service"], end["generation"], end["overlap"]) == ("notes", 2, 3)

    return pulumi.Output.all(platform.databases["notes"].ends.urn, platform.pgadmin.port).apply(look)


@pulumi.runtime.test
def test_a_service_that_was_never_rotated_has_the_inputs_of_before(
    recorder: Recorder, tmp_path: Path
) -> pulumi.Output[None]:
    platform = _platform(_stack(tmp_path))

    def look(_: Any) -> None:
        assert "notes-rotation" not in recorder.resources
        assert not {"generation", "overlap", "outside"} & recorder.resources["notes-roles"].inputs.keys()

    return pulumi.Output.all(platform.databases["notes"].access.urn, platform.pgadmin.port).apply(look)


def test_every_test_of_this_module_that_looks_at_outputs_is_run_by_the_engine_loop() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    looking = re.findall(r"^(@pulumi.runtime.test\n)?def test_\w+\([^)]*\)( -> pulumi.Output)?", text, re.MULTILINE)
    assert sum(bool(returned) for _, returned in looking) == 11
    assert all(bool(decorated) == bool(returned) for decorated, returned in looking)
