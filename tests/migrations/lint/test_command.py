"""`keelson migrate lint`, as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keelson import migrations
from keelson.state import LastKnown, last_known
from tests.services import PASSWORD, Service

FIRST = "CREATE TABLE users (id bigint PRIMARY KEY, name text);\n"
SECOND = "ALTER TABLE users DROP COLUMN name;\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "auth" / "migrations"
    found.mkdir(parents=True)
    (found / "001_users.sql").write_text(FIRST)
    (found / "002_drop.sql").write_text(SECOND)
    return found


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keelson", "migrate", "lint", *arguments]
    return subprocess.run(command, cwd=folder.parents[1], capture_output=True, text=True, check=False)


def test_a_folder_alone_is_pending_as_a_whole(folder: Path) -> None:
    done = run(folder, "--dir", "auth/migrations")
    assert (done.returncode, done.stdout) == (0, "nothing wrong in 2 files\n")


def test_every_file_is_judged_as_if_it_were_to_run_now(folder: Path) -> None:
    done = run(folder, "--dir", "auth/migrations", "--every")
    first, last = done.stdout.splitlines()
    assert done.returncode == 1
    assert first.startswith("auth/migrations/002_drop.sql:1: error ban-drop-column: the data of the column are lost")
    assert last == "1 error in 2 files"
    assert run(folder, "--dir", "auth/migrations", "--every", "--environment", "dev").returncode == 0


def test_a_database_says_what_is_pending_to_a_role_that_may_only_read(folder: Path, database: Service) -> None:
    with database.as_migrator() as connection:
        migrations.apply(connection, migrations.read_directory(folder)[:1], owner=database.roles.owner)
    database.open()
    with database.as_admin() as connection:
        connection.execute(f"GRANT SELECT ON public.schema_versions TO {database.roles.readonly}")
    reader = database.server.parameters(database.name, database.roles.readonly_a, PASSWORD)
    url = " ".join(f"{key}={value!r}" for key, value in reader.items())
    done = run(folder, "--dir", "auth/migrations", "--url", url, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["files"], found["errors"], found["warnings"]) == (1, 1, 1, 0)
    assert found["findings"][0]["source"] == "auth/migrations/002_drop.sql"
    assert found["findings"][0]["database"] == "auth"


def test_annotations_for_github(folder: Path) -> None:
    done = run(folder, "--dir", "auth/migrations", "--every", "--format", "github")
    assert done.stdout.startswith("::error file=auth/migrations/002_drop.sql,line=1,title=ban-drop-column::the data")


def test_the_folders_database_yaml_says_how_much_a_rule_counts(folder: Path) -> None:
    (folder.parent / "database.yaml").write_text("server: main\nlint: {ban-drop-column: off}\n")
    assert run(folder, "--dir", "auth/migrations", "--every").returncode == 0


def test_rules_are_listed(folder: Path) -> None:
    listed = json.loads(run(folder, "--rules", "--json").stdout)
    assert {"rule": "ban-drop-column", "severity": "error"}.items() <= next(
        row.items() for row in listed if row["rule"] == "ban-drop-column"
    )


@pytest.mark.parametrize(
    "arguments", [[], ["auth", "--dir", "x"], ["--url", "x"], ["--environment", "moon", "--dir", "auth/migrations"]]
)
def test_wrong_use_is_one_sentence(folder: Path, arguments: list[str]) -> None:
    done = run(folder, *arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")


def test_the_state_remembers_the_ledger_of_each_database() -> None:
    urn = "urn:pulumi:dev::keelson::keelson:index:Platform$pulumi-python:dynamic/keelson:Schema::auth-schema"
    resources = [{"urn": urn, "outputs": {"ledger": {"001_a.sql": "x"}, "rows": {"users": 2e6}}}]
    assert last_known(resources, "auth") == LastKnown({"001_a.sql": "x"}, {"users": 2_000_000})
    assert last_known(resources, "other") == LastKnown()
