"""The agent in a whole stack: jobs from settings to backups, health and metrics; one stack for all tests, in their order."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from keelson.local import processes
from tests.stack.harness import CHECKOUT, NOTES, StackUnderTest, changed, wait_until
from tests.stack.test_harden import faults

AGENT_MEMORY = {
    "local": 56e6,
    "docker": 61e6,
}  # bytes, a fifth of them what reads certificates; a container shares no pages with others


@pytest.fixture(scope="module")
def stack(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    made = make_shared_stack(redis={"redis": {}}, agent={}, backup={"time_zone": "Europe/Berlin"})
    made.write_service("notes")
    made.write_service("memos")
    return made


def _job(stack: StackUnderTest, name: str = "notes") -> dict[str, Any]:
    return dict(json.loads(stack.read(f"jobs/backup-{name}.json")))


def _get(stack: StackUnderTest, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port("agent"), timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def _health(stack: StackUnderTest) -> dict[str, Any]:
    return dict(json.loads(_get(stack, "/health")[1]))


def _known_job(stack: StackUnderTest, name: str = "notes") -> dict[str, Any]:
    return next((job for job in _health(stack)["jobs"] if job["name"] == f"backup-{name}"), {})


def _answers(stack: StackUnderTest) -> bool:
    try:
        return _get(stack, "/live")[0] == 200
    except OSError:
        return False


def _schedule(stack: StackUnderTest, schedule: str, **more: str) -> None:
    text = yaml.safe_dump({"server": "main", "backup": {"schedule": schedule, **more}})
    stack.write_service("notes", {"database.yaml": text})


def test_a_preview_shows_what_is_backed_up_when(stack: StackUnderTest) -> None:
    said = stack.keelson("preview", "--diff").stdout
    assert said.count("keelson:BackupJob") >= 3
    assert said.count('schedule     : "0 2 * * *"') == 3
    assert said.count('time_zone    : "Europe/Berlin"') == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schedule": "often"}, "the schedule 'often' cannot be read; write five fields such as '0 2 * * *'"),
        ({"schedule": "0 2 * * *", "time_zone": "Europe/Bonn"}, "the time zone 'Europe/Bonn' is not known"),
    ],
)
def test_a_wrong_schedule_is_one_sentence_in_the_preview(
    stack: StackUnderTest, changes: dict[str, str], sentence: str
) -> None:
    _schedule(stack, **changes)
    refused = stack.keelson("preview", check=False)
    stack.write_service("notes", {"database.yaml": NOTES["database.yaml"]})
    assert refused.returncode == 1
    assert sentence in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


@pytest.mark.everywhere
def test_the_whole_stack_comes_up_well_with_nothing_missed(stack: StackUnderTest) -> None:
    stack.keelson("up")
    page = _health(stack)
    assert page["well"], page
    assert {part["name"] for part in page["parts"]} == {"main", "redis", "agent"}
    assert {job["name"] for job in page["jobs"]} == {
        "backup-notes",
        "backup-memos",
        "backup-redis",
        "drill-notes",
        "drill-memos",
    }
    assert not any(job["last_success"] or job["running"] for job in page["jobs"])
    assert "unchanged" in stack.keelson("up").stdout


@pytest.mark.everywhere
def test_its_server_is_as_safe_as_it_should_be(stack: StackUnderTest) -> None:
    assert faults(stack) == {}


def test_metrics_of_databases_and_redis(stack: StackUnderTest) -> None:
    status, text = _get(stack, "/metrics")
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert status == 200
    for database in ("notes", "memos"):
        assert float(figures[f'keelson_database_size_bytes{{database="{database}",server="main"}}']) > 1e6
    assert figures['keelson_server_up{server="main"}'] == figures['keelson_server_up{server="redis"}'] == "1.0"
    assert float(figures['keelson_redis_memory_bytes{server="redis"}']) > 1e5
    assert float(figures['keelson_redis_last_save_timestamp_seconds{server="redis"}']) > 1e9
    assert figures['keelson_job_failures{name="backup-notes"}'] == "0.0"


def test_a_schedule_that_changes_is_an_update_that_the_agent_notices(stack: StackUnderTest) -> None:
    _schedule(stack, "30 3 * * 0", time_zone="America/New_York")
    said = stack.keelson("preview").stdout
    assert changed(said) == {"BackupJob", "DrillJob"}  # a drill follows each backup
    assert f"{2 + ('DockerSettings' in said)} to update" in said
    registered = _job(stack)["registered"]
    stack.keelson("up")
    job = _job(stack)
    assert (job["schedule"], job["time_zone"], job["registered"]) == ("30 3 * * 0", "America/New_York", registered)
    wait_until(lambda: _known_job(stack)["schedule"] == "30 3 * * 0", "the agent knows", seconds=10)


def test_a_job_whose_file_was_lost_or_damaged_is_written_again_by_a_refresh(stack: StackUnderTest) -> None:
    before = _job(stack)
    for damage in ("rm", "echo '{' >"):
        stack.sh(f'{damage} "$STATE/jobs/backup-notes.json"')
        wait_until(lambda: not _known_job(stack), "the agent misses it", seconds=10)
        stack.keelson("up", "--", "--refresh")
        assert _job(stack) | {"registered": 0} == before | {"registered": 0}
        wait_until(lambda: _known_job(stack), "the agent knows it again", seconds=10)


def _as_of_last_month(stack: StackUnderTest, name: str) -> None:
    last_month = time.time() - 30 * 86_400
    for file, what in (("agent", "handled"), ("jobs", "registered")):
        path = f"{file}/backup-{name}.json"
        stack.write(path, json.dumps(json.loads(stack.read(path)) | {what: last_month}))


@pytest.mark.everywhere
def test_a_backup_that_was_due_while_the_agent_was_down_is_made_once(stack: StackUnderTest) -> None:
    stack.keelson("stop", "agent")
    for name in ("notes", "memos"):
        _as_of_last_month(stack, name)
    stack.keelson("start")
    wait_until(lambda: all(_known_job(stack, name).get("last_success") for name in ("notes", "memos")), "both are made")
    for name in ("notes", "memos"):
        assert len(stack.backups_of(name)) == 1
    assert _health(stack)["well"]
    text = _get(stack, "/metrics")[1]
    assert 'keelson_backup_size_bytes{name="backup-notes"}' in text
    assert 'keelson_backup_timestamp_seconds{name="backup-memos"}' in text


def test_the_document_names_figures_that_there_are(stack: StackUnderTest) -> None:
    named = set(re.findall(r"keelson_\w+", (CHECKOUT / "docs/agent.md").read_text(encoding="utf-8")))
    assert len(named) > 10
    stack.keelson("backup", "drill", "notes")
    assert named <= set(re.findall(r"^keelson_\w+", _get(stack, "/metrics")[1], re.MULTILINE))


def test_an_agent_that_has_looked_at_everything_is_small(stack: StackUnderTest, target: str) -> None:
    for _ in range(10):
        _get(stack, "/metrics")
        _get(stack, "/health")
    process = processes.look(stack.pid("agent"))
    assert process
    assert process.memory < AGENT_MEMORY[target]


def test_a_killed_agent_is_back_within_five_seconds(stack: StackUnderTest) -> None:
    before = stack.pid("agent")
    stack.kill("agent")
    began = time.monotonic()
    wait_until(lambda: stack.pid("agent") not in {0, before} and _answers(stack), "another agent answers", seconds=5)
    assert time.monotonic() - began < 5
    assert _health(stack)["well"]


def test_a_service_that_is_taken_out_takes_its_job_along(stack: StackUnderTest) -> None:
    (stack.root / "sql/memos").rename(stack.home / "memos")
    stack.keelson("up")
    assert stack.sh('ls "$STATE/jobs"').split() == ["backup-notes.json", "backup-redis.json", "drill-notes.json"]
    wait_until(lambda: not _known_job(stack, "memos"), "the agent knows", seconds=10)


def test_a_destroyed_stack_leaves_no_job_and_no_agent(stack: StackUnderTest) -> None:
    stack.keelson("destroy", "--yes")
    assert not stack.left()
    assert not stack.running()
