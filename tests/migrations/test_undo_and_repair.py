from __future__ import annotations

from pathlib import Path

import pytest

from keelson import migrations
from keelson.errors import MigrationError
from keelson.migrations.parts import text_hash
from keelson.migrations.repair import plan_repairs, repair, restart
from keelson.migrations.undo import plan_undo, undo
from tests.migrations.project import Project

HEADER = "-- keelson: no-transaction\n"


def take_back(project: Project, to: str | None = None) -> list[str]:
    with project.service.as_migrator() as connection:
        plan = plan_undo(connection, project.files(), to)
        undo(connection, plan, owner=project.service.roles.owner, reason="a test", on_progress=lambda _line: None)
    return [step.file for step in plan]


def refused(project: Project, to: str | None = None) -> str:
    with pytest.raises(MigrationError) as caught:
        take_back(project, to)
    return str(caught.value)


def mend(project: Project) -> list[str]:
    with project.service.as_migrator() as connection:
        found = repair(connection, project.files(), owner=project.service.roles.owner, reason="a test")
    return [item.what for item in found]


@pytest.fixture
def three(project: Project) -> Project:
    for number in (1, 2, 3):
        project.write(**{f"_{number}": f"CREATE TABLE t{number} ()"})
        (project.directory / f"{number}.down.sql").write_text(f"DROP TABLE t{number}")
    project.apply()
    return project


def test_the_newest_is_taken_back_and_comes_again(three: Project) -> None:
    assert take_back(three) == ["3.sql"]
    assert three.tables() == {"t1", "t2"}
    assert three.query("SELECT action, file, reason, who ~ '_migrator from .+@' FROM schema_history") == [
        ("undo", "3.sql", "a test", True)
    ]
    assert list(three.apply()) == ["1.sql", "2.sql", "3.sql"]
    assert three.tables() == {"t1", "t2", "t3"}


@pytest.mark.parametrize(("to", "left"), [("1", {"t1"}), ("1.sql", {"t1"}), ("0", set()), ("3", {"t1", "t2", "t3"})])
def test_all_after_a_chosen_one_are_taken_back(three: Project, to: str, left: set[str]) -> None:
    take_back(three, to)
    assert three.tables() == left
    assert three.query("SELECT count(*) FROM schema_versions") == [(len(left),)]


def test_nothing_is_taken_back_where_one_has_no_undo(three: Project) -> None:
    (three.directory / "2.down.sql").unlink()
    assert "migrations/2.sql has no undo; write one beside it" in refused(three, "1")
    assert three.tables() == {"t1", "t2", "t3"}
    assert "7 is no migration that is applied" in refused(three, "7")


def test_an_undo_that_fails_leaves_its_migration_applied(three: Project) -> None:
    (three.directory / "2.down.sql").write_text("DROP TABLE t2;\nDROP TABLE nothing")
    assert 'migrations/2.down.sql:2: table "nothing" does not exist' in refused(three, "0")
    assert three.tables() == {"t1", "t2"}
    assert three.query("SELECT max(version) FROM schema_versions") == [(2,)]


def test_an_undo_that_is_not_utf_8_is_said_before_its_migration_runs(project: Project) -> None:
    project.write(_1="CREATE TABLE t ()")
    (project.directory / "1.down.sql").write_bytes(b"DROP TABLE t;\n-- \xe4")
    assert project.refused() == "migrations/1.down.sql:2: not UTF-8 at byte 17; save the file as UTF-8"
    assert project.tables() == set()


def test_a_file_that_is_not_here_is_taken_back_by_the_undo_in_the_ledger(three: Project) -> None:
    three.path("3").unlink()
    (three.directory / "3.down.sql").unlink()
    assert take_back(three) == ["3.sql"]
    assert three.tables() == {"t1", "t2"}


def test_an_undo_without_a_transaction_goes_on_where_it_stopped(project: Project) -> None:
    project.write(_1="CREATE TABLE t (a int); CREATE INDEX i ON t (a); CREATE INDEX j ON t (a)").apply()
    undo_file = project.directory / "1.down.sql"
    undo_file.write_text(HEADER + "DROP INDEX CONCURRENTLY i;\nSELECT nothing;\nDROP TABLE t")
    assert "statement 1 is done, and the next run goes on here" in refused(project)
    assert project.query("SELECT count(*) FROM schema_versions") == [(1,)]
    undo_file.write_text(HEADER + "DROP INDEX CONCURRENTLY i;\nSELECT 1;\nDROP TABLE t")
    take_back(project)
    assert project.tables() == set()
    assert project.query("SELECT count(*) FROM schema_steps") == [(0,)]


def test_a_deliberate_edit_is_accepted_with_a_note_of_who_and_why(three: Project) -> None:
    three.write(_2="CREATE TABLE t2 (a int)")
    assert "accept the change by `keelson migrate repair`" in three.refused()
    with three.service.as_migrator() as connection:
        assert len(plan_repairs(connection, three.files())) == 1
    (what,) = mend(three)
    assert what.startswith("checksum ")
    assert three.query("SELECT action, file, reason, detail FROM schema_history") == [
        ("repair", "2.sql", "a test", what)
    ]
    assert len(three.apply()) == 3
    assert mend(three) == []
    assert three.query("SELECT count(*) FROM pg_attribute WHERE attrelid = 't2'::regclass AND attname = 'a'") == [(0,)]


def test_a_new_name_and_another_description_are_accepted(three: Project) -> None:
    three.path("2").rename(three.path("2_two"))
    (three.directory / "2.down.sql").rename(three.directory / "2_two.down.sql")
    three.path("3").write_text("-- Description: the third\nCREATE TABLE t3 ()")
    assert mend(three) == ["2.sql is named 2_two.sql now", "description '' became 'the third'"]
    assert list(three.apply()) == ["1.sql", "2_two.sql", "3.sql"]


def test_a_comment_in_an_applied_file_is_no_change(three: Project) -> None:
    three.path("1").write_text("-- licence\r\nCREATE TABLE   t1 () ;\r\n")
    assert len(three.apply()) == 3
    with three.service.as_admin() as admin:
        assert {item.state for item in migrations.status(admin, three.files())} == {"applied"}


def test_a_half_done_file_is_shown_and_can_begin_anew(project: Project) -> None:
    project.write(_1=HEADER + "CREATE TABLE one ();\nSELECT nothing").refused()
    with project.service.as_migrator() as connection:
        assert [item.state for item in migrations.status(connection, project.files())] == ["half done"]
        assert restart(connection, "1.sql", owner=project.service.roles.owner, reason="a test") == 1
        assert [item.state for item in migrations.status(connection, project.files())] == ["pending"]
    assert 'relation "one" already exists' in project.refused()


def test_a_ledger_of_before_that_knew_texts_is_brought_up_to_date(three: Project) -> None:
    texts = {file.name: file.text_sha256 for file in three.files()}
    assert texts["1.sql"] == text_hash(Path(three.path("1")).read_text())
    for name, checksum in texts.items():
        three.query(f"UPDATE schema_versions SET checksum = '{checksum}' WHERE file = '{name}' RETURNING 1")
    with three.service.as_admin() as admin:
        admin.execute("ALTER TABLE schema_versions DROP COLUMN text_checksum; DROP TABLE schema_steps")
    assert three.apply() == {file.name: file.sha256 for file in three.files()}
    assert three.query("SELECT count(text_checksum) FROM schema_versions") == [(3,)]
