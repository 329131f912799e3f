from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keelson.cli.application import application
from keelson.errors import SettingsError
from keelson.migrations import apply, read_directory
from keelson.migrations.drift import find_drift
from keelson.migrations.scratch import Origin, Scratch
from keelson.migrations.seeds import read_seeds
from keelson.migrations.subject import Subject
from keelson.migrations.verify import Data, Step, verify
from keelson.postgres.databases import grant_schemas
from keelson.postgres.snapshot import as_text
from keelson.settings.privacy import PrivacyDefinition
from keelson.settings.ways import belonging
from tests.services import Service

USERS = "CREATE TABLE users (id int PRIMARY KEY, mail text NOT NULL, at timestamptz DEFAULT now());"
FILES = {
    "migrations/001_users.sql": USERS,
    "migrations/001_users.down.sql": "DROP TABLE users;",
    "migrations/002_phone.sql": "ALTER TABLE users ADD phone text;\nCREATE INDEX ON users (phone);",
    "migrations/002_phone.down.sql": "ALTER TABLE users DROP phone;",
    "seeds/dev/001_users.sql": "INSERT INTO users (id, mail) VALUES (1, 'a@b') ON CONFLICT DO NOTHING;",
    "checks/mails.sql": "-- A mail has an at sign.\nSELECT id FROM users WHERE mail !~ '@';",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _write(tmp_path, FILES)
    return tmp_path


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _subject(folder: Path, service: str = "proven") -> Subject:
    return Subject(name=service, origin=Origin(service=service), files=read_directory(folder / "migrations"))


def _data(folder: Path) -> Data:
    return Data("dev", read_seeds(folder / "seeds", ["dev"]), tuple(sorted((folder / "checks").iterdir())))


def _steps(folder: Path, server: Scratch, **more: object) -> dict[str, Step]:
    return {step.name: step for step in verify(_subject(folder), server, _data(folder), **more)}


def _outcomes(steps: dict[str, Step]) -> dict[str, str]:
    return {name: step.outcome for name, step in steps.items()}


def test_what_is_right_passes_without_any_live_server(folder: Path, scratch_server: Scratch) -> None:
    steps = _steps(folder, scratch_server)
    assert _outcomes(steps) == {
        "replay": "ok",
        "drift": "skipped",
        "pending": "skipped",
        "undo": "ok",
        "seeds": "ok",
        "checks": "ok",
    }
    assert steps["undo"].said == "2 files taken back and applied again"


def test_a_file_that_fails_from_nothing_is_named(folder: Path, scratch_server: Scratch) -> None:
    _write(folder, {"migrations/003_wrong.sql": "SELECT 1;\nALTER TABLE nowhere ADD x int;"})
    steps = _steps(folder, scratch_server)
    assert _outcomes(steps) == {"replay": "failed", "drift": "skipped"}
    assert 'migrations/003_wrong.sql:2: relation "nowhere" does not exist' in steps["replay"].said


def test_an_undo_that_leaves_something_fails_with_what_it_leaves(folder: Path, scratch_server: Scratch) -> None:
    _write(
        folder,
        {
            "migrations/003_more.sql": "ALTER TABLE users ALTER mail DROP NOT NULL;\nCREATE TABLE more (id int);",
            "migrations/003_more.down.sql": "DROP TABLE more;",
        },
    )
    undo = _steps(folder, scratch_server)["undo"]
    assert (undo.outcome, undo.said) == ("failed", "the undo of 003_more.sql does not leave what was before")
    assert as_text(undo.differences) == "~ table public.users\n    ~ column mail: not null: yes -> (none)\n"


def test_an_undo_that_fails_is_told_with_its_line(folder: Path, scratch_server: Scratch) -> None:
    _write(folder, {"migrations/002_phone.down.sql": "\nALTER TABLE users DROP fax;"})
    undo = _steps(folder, scratch_server)["undo"]
    assert undo.outcome == "failed"
    assert '002_phone.down.sql:2: column "fax"' in undo.said


def test_a_file_without_undo_ends_the_way_back_and_is_named(folder: Path, scratch_server: Scratch) -> None:
    (folder / "migrations/001_users.down.sql").unlink()
    undo = _steps(folder, scratch_server)["undo"]
    assert (undo.outcome, undo.said) == ("ok", "1 file taken back and applied again; 001_users.sql has no undo")


def test_repeatable_files_stay_while_others_are_taken_back(folder: Path, scratch_server: Scratch) -> None:
    _write(folder, {"migrations/003_view.sql": "CREATE OR REPLACE VIEW known AS SELECT id, phone FROM users;"})
    subject = _subject(folder)
    again = replace(subject.files[-1], version=None, repeatable=True)
    steps = verify(replace(subject, files=(*subject.files[:-1], again)), scratch_server, _data(folder))
    assert {step.name: step.outcome for step in steps}["undo"] == "ok"


@pytest.mark.parametrize(
    ("seed", "told"),
    [
        ("INSERT INTO users SELECT coalesce(max(id), 0) + 1, 'a@b' FROM users;", "public.users (1 rows, then 2)"),
        (
            "INSERT INTO users VALUES (1, 'a@b') ON CONFLICT (id) DO UPDATE SET at = clock_timestamp();",
            "public.users (other rows)",
        ),
    ],
)
def test_a_seed_that_changes_rows_when_it_runs_again_fails(
    folder: Path, scratch_server: Scratch, seed: str, told: str
) -> None:
    _write(folder, {"seeds/dev/002_again.sql": seed.replace("(1,", "(2,"), "seeds/dev/001_users.sql": "SELECT 1;"})
    steps = _steps(folder, scratch_server)
    assert steps["seeds"].outcome == "failed"
    assert f"seeds/dev/002_again.sql changes rows when it runs again: {told}" in steps["seeds"].said
    assert steps["checks"].outcome == "skipped"


def test_a_check_that_finds_rows_fails(folder: Path, scratch_server: Scratch) -> None:
    _write(folder, {"seeds/dev/002_wrong.sql": "INSERT INTO users VALUES (2, 'nowhere') ON CONFLICT DO NOTHING;"})
    assert _steps(folder, scratch_server)["checks"].said == "mails.sql finds 1 rows"


def test_a_live_database_says_what_is_pending(database: Service, folder: Path, scratch_server: Scratch) -> None:
    with database.as_migrator() as migrator:
        apply(migrator, read_directory(folder / "migrations"), owner=database.roles.owner)
        grant_schemas(migrator, database.name)
        database.open()
        _write(folder, {"migrations/003_more.sql": "CREATE TABLE more (id int);"})
        subject = _subject(folder, database.name)
        steps = {step.name: step for step in verify(subject, scratch_server, _data(folder), migrator)}
        assert _outcomes(steps) | {"undo": "skipped"} == _outcomes(steps)
        assert steps["drift"].outcome == "ok"
        assert (steps["pending"].outcome, steps["pending"].said) == ("ok", "1 file on top of 2")
        assert steps["undo"].said == "003_more.sql has no undo"
        with database.as_admin() as admin:
            admin.execute("DROP INDEX users_phone_idx")
        _write(folder, {"migrations/000_first.sql": "CREATE TABLE first (id int);"})
        steps = {step.name: step for step in verify(_subject(folder, database.name), scratch_server, Data(), migrator)}
        assert "- index users_phone_idx" in as_text(steps["drift"].differences)
        assert "000_first.sql comes before 002_phone.sql, which is applied" in steps["pending"].said
        subject = replace(_subject(folder, database.name), out_of_order=True)
        steps = {step.name: step for step in verify(subject, scratch_server, Data(), migrator)}
    assert steps["pending"].said == "2 files on top of 2"


def test_the_command_line_proves_a_folder_alone(folder: Path) -> None:
    done = CliRunner().invoke(application, ["migrate", "verify", "--dir", str(folder / "migrations")])
    assert done.exit_code == 0, done.output
    assert "ok      undo     2 files taken back and applied again" in done.output
    _write(folder, {"migrations/002_phone.down.sql": "DROP INDEX users_phone_idx;"})
    done = CliRunner().invoke(application, ["migrate", "verify", "--dir", str(folder / "migrations"), "--json"])
    assert done.exit_code == 1
    (steps,) = json.loads(done.stdout).values()
    assert [step["differences"][0]["part"] for step in steps if step["outcome"] == "failed"] == ["column phone"]


def test_a_folder_of_another_tool_is_proved_as_it_is(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "V1__users.sql": USERS,
            "R__known.sql": "CREATE OR REPLACE VIEW known AS SELECT id, phone FROM users;",
            "V2__phone.sql": "ALTER TABLE users ADD phone text;",
        },
    )
    done = CliRunner().invoke(application, ["migrate", "verify", "--dir", str(tmp_path), "--format", "flyway"])
    assert done.exit_code == 0, done.output
    assert "ok      replay   3 files from nothing" in done.output
    assert "skipped undo     V2__phone.sql has no undo" in done.output


def test_files_that_were_applied_out_of_order_are_replayed_as_they_were(
    database: Service, folder: Path, scratch_server: Scratch
) -> None:
    with database.as_migrator() as migrator:
        apply(migrator, read_directory(folder / "migrations"), owner=database.roles.owner)
        _write(folder, {"migrations/000_view.sql": "CREATE VIEW known AS SELECT id, phone FROM users;"})
        apply(migrator, read_directory(folder / "migrations"), owner=database.roles.owner, out_of_order=True)
        grant_schemas(migrator, database.name)
        database.open()
        assert find_drift(migrator, _subject(folder, database.name), scratch_server).differences == ()


POLICIES = """
CREATE TABLE files (id int PRIMARY KEY, user_id int NOT NULL);
CREATE TABLE pages (id int PRIMARY KEY, file_id int NOT NULL REFERENCES files ON DELETE RESTRICT, text text);
GRANT SELECT, INSERT, UPDATE, DELETE ON files, pages TO proven_app;
ALTER TABLE files ENABLE ROW LEVEL SECURITY; ALTER TABLE files FORCE ROW LEVEL SECURITY;
ALTER TABLE pages ENABLE ROW LEVEL SECURITY; ALTER TABLE pages FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON files TO proven_app USING (user_id = nullif(current_setting('app.current_user_id', true), '')::int);
CREATE POLICY own ON pages TO proven_app USING (file_id IN (SELECT id FROM files));
CREATE POLICY upkeep ON files TO proven_owner USING (true);
CREATE POLICY upkeep ON pages TO proven_owner USING (true);
"""
FILLED = """
INSERT INTO files VALUES (1, 7), (2, 7), (3, 8) ON CONFLICT DO NOTHING;
INSERT INTO pages VALUES (1, 1, 'a'), (2, 3, 'b') ON CONFLICT DO NOTHING;
"""
TENANTS = {"files": ["user_id"], "pages": ["file_id -> files.id"]}


def _tenants(folder: Path, server: Scratch, more: str = "", named: dict[str, list[str]] = TENANTS) -> Step:
    _write(
        folder,
        {
            "migrations/001_files.sql": POLICIES,
            "migrations/002_more.sql": more or "SELECT 1;",
            "seeds/dev/1.sql": FILLED,
        },
    )
    data = Data("dev", read_seeds(folder / "seeds", ["dev"]), tenants=belonging(named, "database.yaml"))
    return {step.name: step for step in verify(_subject(folder), server, data)}["tenants"]


def test_policies_that_hold_are_proven_with_rows_of_users(tmp_path: Path, scratch_server: Scratch) -> None:
    step = _tenants(tmp_path, scratch_server)
    assert (step.outcome, step.said) == ("ok", "policies of 2 tables hold, tried with rows of 2 users")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("ALTER TABLE files NO FORCE ROW LEVEL SECURITY;", "public.files lacks row security that its owner is held to"),
        ("ALTER TABLE pages DISABLE ROW LEVEL SECURITY;", "ALTER TABLE public.pages ENABLE ROW LEVEL SECURITY"),
        ("CREATE POLICY reads ON files FOR SELECT USING (true);", "public.files shows 3 of 3 rows where nobody's"),
        ("CREATE POLICY reads ON files FOR SELECT USING (user_id = 8);", "public.files shows 3 rows to 7, whose are 2"),
        (
            "CREATE POLICY drops ON pages FOR DELETE USING (true);",
            "public.pages lets 7 delete 2 rows, whose are 1 of 2",
        ),
        ("ALTER POLICY own ON files WITH CHECK (true);", "public.files lets 7 give rows to 8"),
        ("CREATE VIEW known AS SELECT * FROM files;", "known reads files as its owner, not as who asks"),
        ("CREATE TABLE marks (user_id int);", "marks has a column user_id and is not named"),
    ],
)
def test_policies_that_do_not_hold_are_told_with_what_they_let_through(
    tmp_path: Path, scratch_server: Scratch, more: str, told: str
) -> None:
    step = _tenants(tmp_path, scratch_server, more)
    assert step.outcome == "failed"
    assert told in step.said


def test_tables_whose_changes_are_not_written_to_a_trail_fail(tmp_path: Path, scratch_server: Scratch) -> None:
    _write(tmp_path, {"migrations/001_users.sql": USERS})
    steps = verify(_subject(tmp_path), scratch_server, Data(audited=("users",)))
    step = {step.name: step for step in steps}["audit"]
    assert step.outcome == "failed"
    assert "has no audit trail; make one by a migration" in step.said


def test_tables_of_persons_that_nobody_named_fail(tmp_path: Path, scratch_server: Scratch) -> None:
    _write(tmp_path, {"migrations/001_users.sql": USERS + "CREATE TABLE visits (user_id int);"})
    privacy = PrivacyDefinition.read({"tables": {"users": {"of": "id", "erase": "delete"}}}, "privacy.yaml")
    step = {step.name: step for step in verify(_subject(tmp_path), scratch_server, Data(privacy=privacy))}["privacy"]
    assert (step.outcome, "does not name public.visits" in step.said) == ("failed", True)


def test_a_view_that_reads_as_who_asks_is_right(tmp_path: Path, scratch_server: Scratch) -> None:
    view = "CREATE VIEW known WITH (security_invoker = true) AS SELECT * FROM files;"
    assert _tenants(tmp_path, scratch_server, view).outcome == "ok"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"pages": ["file_id -> files.id"]}, "public.pages leads to public.files, which is not named"),
        ({"a": ["b_id -> b.id"], "b": ["a_id -> a.id"]}, "round in a circle"),
    ],
)
def test_ways_that_lead_nowhere_are_refused(named: dict[str, list[str]], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        belonging(named, "database.yaml")
