"""A stack from nothing to answering, again, previewed, and taken down; one stack for most tests, in their order."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
from collections.abc import Callable

import psycopg
import pytest

from tests.stack.harness import NOTES, StackUnderTest, wait_until

SECOND = {
    "migrations/002_tags.sql": "CREATE TABLE tags (name text PRIMARY KEY);\n",
    "migrations/002_tags.down.sql": "DROP TABLE tags;\n",
}
THIRD = {
    "migrations/003_more.sql": "CREATE TABLE more (id int);\n",
    "migrations/003_more.down.sql": "DROP TABLE more;\n",
}


@pytest.fixture(scope="module")
def stack(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    made = make_shared_stack()
    made.write_service("notes")
    return made


@pytest.mark.everywhere
def test_up_makes_a_service_that_answers_and_a_second_up_changes_nothing(stack: StackUnderTest) -> None:
    first = stack.keelson("up")
    assert "keelson psql notes" in first.stdout
    with stack.connect("notes") as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (10,)
    second = stack.keelson("up")
    assert "unchanged" in second.stdout
    assert "to create" not in second.stdout
    assert "to update" not in second.stdout
    assert stack.keelson("status").returncode == 0


def test_outputs_name_ports_and_no_password(stack: StackUnderTest) -> None:
    outputs = json.loads(stack.pulumi("stack", "output", "--json").stdout)
    assert outputs["endpoints"]["main"]["databases"] == ["notes"]
    assert outputs["versions"] == {"notes": "1"}


@pytest.mark.everywhere
def test_a_person_reaches_a_service_by_its_url_its_variables_psql_and_a_report(stack: StackUnderTest) -> None:
    query = "SELECT count(*), current_user FROM notes"
    values = dict(line.split("=", 1) for line in stack.keelson("env", "notes").stdout.splitlines())
    for url in (stack.url("notes"), values["DATABASE_URL"]):
        with psycopg.connect(url) as connection:
            assert connection.execute(query).fetchone() == (10, "notes_app_a")
    assert stack.keelson("psql", "notes", "--", "-Atc", query).stdout == "10|notes_app_a\n"
    found = json.loads(stack.keelson("report", "sizes", "notes", "--json").stdout)
    assert "notes" in {row["table"] for row in found}


@pytest.mark.everywhere
def test_a_pending_migration_shows_by_name_with_every_server_down(stack: StackUnderTest) -> None:
    stack.keelson("stop")
    stack.write_service("notes", SECOND)
    plain = stack.pulumi("preview").stdout
    assert "notes: pending 002_tags.sql" in plain
    assert "001_notes.sql" not in plain
    detailed = stack.pulumi("preview", "--diff").stdout
    assert re.search(r'\+ 002_tags.sql *: "creates table tags', detailed)
    stack.keelson("up")
    assert stack.count("notes", "tags") == 0
    assert "pending" not in stack.pulumi("preview").stdout


@pytest.mark.everywhere
def test_a_service_is_added_beside_the_others(stack: StackUnderTest) -> None:
    made = stack.keelson("service", "add", "billing").stdout
    assert "made sql/billing" in made
    assert "billing: pending 001_initial_schema.sql" in stack.keelson("preview").stdout
    stack.keelson("up")
    assert stack.count("billing", "example") == 0
    assert stack.count("notes", "notes") == 10


@pytest.mark.everywhere
def test_refresh_notices_a_database_that_was_dropped_by_hand_and_up_makes_it_again(stack: StackUnderTest) -> None:
    assert re.search(r"\d+ unchanged", stack.pulumi("refresh", "--yes").stdout)
    url = stack.url("notes", "admin").replace("/notes?", "/postgres?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE notes WITH (FORCE)")
    assert "deleted" in stack.pulumi("refresh", "--yes").stdout
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10


def test_what_is_changed_by_hand_shows_in_a_refresh_and_up_repairs_or_reports_it(stack: StackUnderTest) -> None:
    assert "is as its migrations make it" in stack.keelson("migrate", "drift", "notes").stdout
    with stack.connect("notes", "admin") as connection:
        connection.execute("ALTER TABLE notes ADD phone text; ALTER ROLE notes_app CREATEDB")
    refreshed = stack.pulumi("refresh", "--yes").stdout
    assert "notes: tables are not as the last update left them" in refreshed
    assert "notes: altered by hand: notes_app;" in refreshed
    told = stack.keelson("migrate", "drift", "notes", check=False)
    assert told.returncode == 1
    assert "+ column phone: text" in told.stdout
    assert "notes: tables are not as the last update left them" in stack.pulumi("up", "--yes").stdout
    with stack.connect("notes", "admin") as connection:
        assert connection.execute("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'notes_app'").fetchone() == (False,)
        connection.execute("ALTER TABLE notes DROP phone")
    stack.keelson("up")
    assert re.search(r"\d+ unchanged", stack.pulumi("preview").stdout)
    assert "is as its migrations make it" in stack.keelson("migrate", "drift", "notes").stdout


def test_a_stack_that_is_down_is_started_by_up(stack: StackUnderTest) -> None:
    port = stack.keelson("status", "--json").stdout
    stack.keelson("stop")
    assert stack.keelson("status", check=False).returncode == 1
    stack.write_service("other", NOTES)
    stack.keelson("up")
    assert (
        json.loads(stack.keelson("status", "--json").stdout)["parts"][0]["port"] == json.loads(port)["parts"][0]["port"]
    )


def test_after_a_reboot_start_brings_all_back(stack: StackUnderTest) -> None:
    stack.go_down()
    wait_until(lambda: not stack.running(), "all ended")
    stack.keelson("start")
    assert stack.count("notes", "notes") == 10
    assert stack.keelson("status").returncode == 0


def test_pulumi_typed_by_hand_goes_on_after_a_kill(stack: StackUnderTest) -> None:
    stack.write_service(
        "notes", THIRD | {"migrations/003_more.sql": "SELECT pg_sleep(30);\nCREATE TABLE more (id int);\n"}
    )
    running = stack.start("up")
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()"
    with stack.connect("notes", "admin") as connection:
        wait_until(lambda: connection.execute(asleep).fetchone() == (1,), "the migration runs")
    for pid in stack.engine_processes():
        with contextlib.suppress(ProcessLookupError):  # one that ends with another
            os.kill(pid, signal.SIGKILL)
    running.communicate()
    stack.write_service("notes", THIRD)
    refused = stack.pulumi("up", "--yes", check=False)
    assert "the stack is currently locked" in refused.stderr
    stack.pulumi("cancel", "--yes")
    assert stack.pulumi("up", "--yes").returncode == 0
    assert stack.count("notes", "more") == 0
    assert re.search(r"\d+ unchanged", stack.keelson("up").stdout)


@pytest.mark.everywhere
def test_destroy_leaves_nothing_and_a_second_one_is_clean(stack: StackUnderTest) -> None:
    stack.keelson("destroy", "--yes")
    assert not stack.running()
    assert not stack.left()
    assert not [path for path in (stack.home / "data").rglob("*") if path.is_file()]
    assert stack.keelson("destroy", "--yes").returncode == 0
    assert stack.export()["deployment"].get("resources", []) == []


def test_what_was_destroyed_comes_up_again(stack: StackUnderTest) -> None:
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10


def test_an_application_cannot_connect_before_its_migrations_are_done(
    make_stack: Callable[..., StackUnderTest],
) -> None:
    stack = make_stack()
    stack.write_service("notes")
    stack.write_service(
        "notes", {"migrations/002_bad.sql": "SELECT 1/0;\n", "migrations/002_bad.down.sql": "SELECT 1;\n"}
    )
    failed = stack.keelson("up", check=False)
    assert failed.returncode == 1
    assert "002_bad.sql" in failed.stdout
    assert "22012" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        stack.connect("notes")
    (stack.root / "sql/notes/migrations/002_bad.sql").write_text("SELECT 1;\n")
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10


def test_a_protected_stack_is_destroyed_only_by_its_name(make_stack: Callable[..., StackUnderTest]) -> None:
    stack = make_stack("live", environment="staging")
    stack.write_service("notes")
    stack.write_service("other")
    stack.keelson("up")
    _keeps_what_is_taken_out_of_the_settings(stack)
    refused = stack.keelson("destroy", "--yes", check=False)
    assert refused.returncode == 1
    assert f"add --confirm {stack.name}" in refused.stderr
    assert stack.count("notes", "notes") == 0  # seeds of dev are not staging's
    stack.keelson("stop")
    stopped = stack.keelson("destroy", "--yes", "--confirm", stack.name, check=False)
    assert stopped.returncode == 1
    lacking = re.search(r"stack (\w+) stays as it is: there is no last backup of ([^;]+);", stopped.stderr)
    assert lacking
    assert (lacking[1], {*lacking[2].split(", ")}) == (stack.name, {"notes", "other"})
    stack.keelson("start")
    said = stack.keelson("destroy", "--yes", "--confirm", stack.name).stdout
    [made] = re.findall(r"notes: backed up to \S+/(\w+) and read back", said)
    assert made in stack.backups_of("notes")
    assert not stack.running()


def _keeps_what_is_taken_out_of_the_settings(stack: StackUnderTest) -> None:
    kept = stack.home / "kept"
    shutil.move(stack.root / "sql/notes", kept)
    stack.keelson("up")
    with stack.connect("other", "admin") as admin:
        assert admin.execute("SELECT FROM pg_database WHERE datname = 'notes'").fetchall() == [()]
        query = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'notes\\_%'"
        assert admin.execute(query).fetchone() == (8,)
    shutil.move(kept, stack.root / "sql/notes")
    stack.keelson("up")
