"""Files without a transaction that are interrupted in the midst of a statement, and what their retry makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from tests.migrations.project import Project, until

HEADER = "-- keelson: no-transaction\n"


@pytest.fixture
def filled(project: Project) -> Project:
    table = 'CREATE TABLE "My t" ("A a" int PRIMARY KEY, b int); INSERT INTO "My t" SELECT n, n FROM generate_series(1, 100) n'
    project.write(_1=table + '; CREATE INDEX "My i" ON "My t" (b)').apply()
    return project


@contextmanager
def used(project: Project, statement: str) -> Iterator[psycopg.Connection]:
    """Another session with an open transaction."""
    with project.service.as_admin() as other:
        other.execute("BEGIN")
        other.execute(statement)
        yield other


def interrupted(project: Project, beginning: str, ready: str = "wait_event_type = 'Lock'") -> str:
    """Run until the statement that begins so waits, end its session, and return what is said of that."""
    waiting = f"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '{beginning}%' AND {ready}"
    with ThreadPoolExecutor(1) as pool:
        message = pool.submit(project.refused)
        until(lambda: bool(project.query(waiting)))
        project.query(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) AS found")
        return message.result()


def indexes(project: Project) -> dict[str, bool]:
    query = "SELECT c.relname::text, indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '\"My t\"'::regclass"
    return {str(name): bool(is_valid) for name, is_valid in project.query(query)}


def ended(project: Project) -> None:
    assert project.query("SELECT count(*) FROM schema_steps") == [(0,)]
    assert project.query("SELECT max(version) FROM schema_versions") == [(2,)]


def test_an_index_on_a_table_with_capitals_is_built_anew(filled: Project) -> None:
    filled.write(_2=HEADER + 'CREATE INDEX CONCURRENTLY "My 2" ON "My t" (b)')
    with used(filled, 'INSERT INTO "My t" VALUES (0, 0)'):
        interrupted(filled, "CREATE INDEX CONCURRENTLY")
    assert indexes(filled)["My 2"] is False
    filled.apply()
    assert indexes(filled) == {"My t_pkey": True, "My i": True, "My 2": True}
    ended(filled)


def test_an_index_whose_removal_was_interrupted_is_removed(filled: Project) -> None:
    filled.write(_2=HEADER + 'DROP INDEX CONCURRENTLY "My i"')
    with used(filled, 'SELECT FROM "My t"'):
        interrupted(filled, "DROP INDEX CONCURRENTLY")
    assert indexes(filled)["My i"] is False
    filled.apply()
    assert indexes(filled) == {"My t_pkey": True}
    ended(filled)


@pytest.mark.parametrize(
    "what", ['TABLE CONCURRENTLY "My t"', 'INDEX CONCURRENTLY "My i"', "SCHEMA CONCURRENTLY public"]
)
def test_what_an_interrupted_reindex_left_is_removed(filled: Project, what: str) -> None:
    filled.write(_2=f"{HEADER}REINDEX {what}")
    with used(filled, 'INSERT INTO "My t" VALUES (0, 0)'):
        interrupted(filled, "REINDEX")
    assert False in indexes(filled).values()
    filled.apply()
    assert indexes(filled) == {"My t_pkey": True, "My i": True}
    ended(filled)


def test_a_reindex_that_runs_into_a_lock_and_is_tried_again_leaves_nothing(filled: Project) -> None:
    filled.write(_2=HEADER + "SET lock_timeout = '100ms';\nREINDEX TABLE CONCURRENTLY \"My t\"")
    with used(filled, 'INSERT INTO "My t" VALUES (0, 0)') as other:
        filled.apply(on_progress=lambda line: other.execute("COMMIT") and None if "trying again" in line else None)
    assert indexes(filled) == {"My t_pkey": True, "My i": True}
    ended(filled)


def test_a_vacuum_that_was_interrupted_runs_again(filled: Project) -> None:
    filled.write(_2=HEADER + 'VACUUM "My t"')
    with used(filled, 'LOCK TABLE "My t" IN SHARE MODE'):
        interrupted(filled, "VACUUM")
    filled.apply()
    ended(filled)


def test_a_detachment_of_names_with_capitals_is_finished(project: Project) -> None:
    project.write(
        _1='CREATE TABLE "P p" (a int) PARTITION BY LIST (a); CREATE TABLE "C c" PARTITION OF "P p" FOR VALUES IN (1)'
    )
    project.apply()
    project.write(_2=HEADER + 'ALTER TABLE "P p" DETACH PARTITION "C c" CONCURRENTLY')
    with used(project, 'SELECT FROM "P p"'):
        interrupted(project, "ALTER TABLE")
    assert project.query("SELECT inhdetachpending FROM pg_inherits") == [(True,)]
    project.apply()
    assert project.query("SELECT inhdetachpending FROM pg_inherits") == []
    ended(project)


def test_a_procedure_that_commits_is_called_again_and_that_is_told(filled: Project) -> None:
    body = 'INSERT INTO done VALUES (1); COMMIT; LOCK TABLE "My t"; INSERT INTO done VALUES (2); COMMIT;'
    filled.write(
        _2=f"{HEADER}CREATE TABLE done (a int);\nCREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN {body} END $$;\nCALL p();"
    )
    with used(filled, 'SELECT FROM "My t"'):
        interrupted(filled, "CALL p")
    assert filled.query("SELECT a FROM done") == [(1,)]
    told: list[str] = []
    filled.apply(on_progress=told.append)
    assert any(
        "migrations/2.sql:4: an earlier run was interrupted here; what it committed stays, and it runs again" in line
        for line in told
    )
    assert filled.query("SELECT a FROM done ORDER BY a") == [(1,), (1,), (2,)]
    ended(filled)


@pytest.mark.parametrize(
    "statement", ['DO $$ BEGIN INSERT INTO done VALUES (1); LOCK TABLE "My t"; END $$', "CALL p()"]
)
def test_a_block_or_procedure_that_does_not_commit_has_its_effect_once(filled: Project, statement: str) -> None:
    body = 'INSERT INTO done VALUES (1); LOCK TABLE "My t";'
    filled.write(
        _2=f"{HEADER}CREATE TABLE done (a int);\nCREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN {body} END $$;\n{statement};"
    )
    with used(filled, 'SELECT FROM "My t"'):
        interrupted(filled, statement[:4])
    filled.apply()
    assert filled.query("SELECT a FROM done") == [(1,)]
    ended(filled)


def test_what_a_file_without_a_transaction_sets_is_set_again_by_the_retry(filled: Project) -> None:
    text = """
        CREATE SCHEMA s;
        SET search_path = s;
        SELECT set_config('datestyle', 'German', false);
        PREPARE made AS SELECT 1 AS a;
        {};
        CREATE TABLE t AS EXECUTE made;
        CREATE TABLE shown AS SELECT current_setting('datestyle') AS style;
    """
    assert "column" in filled.write(_2=HEADER + text.format("SELECT nothing")).refused()
    filled.write(_2=HEADER + text.format("SELECT 1")).apply()
    assert filled.query("SELECT style FROM s.shown") == [("German, DMY",)]
    assert filled.query("SELECT a FROM s.t") == [(1,)]
    ended(filled)


def test_a_file_without_a_transaction_may_take_another_role(filled: Project) -> None:
    roles = filled.service.roles
    with filled.service.as_admin() as admin:
        admin.execute(
            f'GRANT {roles.app} TO {roles.migrator}; GRANT ALL ON "My t" TO {roles.app}; GRANT USAGE ON SCHEMA public TO {roles.app}'
        )
    filled.write(
        _2=f'{HEADER}SET ROLE {roles.app};\nINSERT INTO "My t" VALUES (0, 0);\nANALYZE "My t";\nVACUUM "My t";\nRESET ROLE;'
    ).apply()
    ended(filled)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TEMP TABLE x ()",
        "CREATE TABLE pg_temp.x ()",
        "CREATE TEMP TABLE x AS SELECT 1",
        "SELECT 1 AS a INTO TEMP x",
    ],
)
def test_what_a_retry_would_miss_is_refused(filled: Project, text: str) -> None:
    message = filled.write(_2=f"{HEADER}CREATE TABLE one ();\n{text}").refused()
    assert "migrations/2.sql:3: a temporary table is gone when a retry goes on after it" in message
    assert filled.tables() == {"My t"}


def test_statements_that_are_done_cannot_leave_the_file(filled: Project) -> None:
    filled.write(_2=HEADER + "CREATE TABLE one ();\nCREATE TABLE two ();\nSELECT nothing").refused()
    assert (
        "migrations/2.sql: statement 2 ran already, and the file has no longer so many"
        in filled.write(_2=HEADER + "CREATE TABLE one ()").refused()
    )


def test_an_index_on_a_partitioned_table_is_refused_by_the_server_and_leaves_nothing(project: Project) -> None:
    project.write(
        _1="CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE c PARTITION OF p FOR VALUES IN (1)"
    ).apply()
    message = project.write(_2=HEADER + "CREATE INDEX CONCURRENTLY i ON p (a)").refused()
    assert 'cannot create index on partitioned table "p" concurrently' in message
    assert "it left" not in message
    project.write(
        _2=HEADER
        + "CREATE INDEX i ON ONLY p (a); CREATE INDEX CONCURRENTLY c_i ON c (a); ALTER INDEX i ATTACH PARTITION c_i"
    ).apply()
    assert project.query(
        "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid IN ('p'::regclass, 'c'::regclass)"
    ) == [(True,)]


def test_a_database_that_is_there_already_was_made_by_the_run_that_was_interrupted(project: Project) -> None:
    name = f"{project.service.name}_more"
    with project.service.server.connect() as admin:
        admin.execute(f"ALTER ROLE {project.service.roles.owner} CREATEDB")
    project.write(_1=f"{HEADER}CREATE DATABASE {name};\nSELECT nothing;\nDROP DATABASE {name}").refused()
    project.query("UPDATE schema_steps SET ended_at = NULL RETURNING 1")  # as if killed before it could be noted
    project.write(_1=f"{HEADER}CREATE DATABASE {name};\nSELECT 1;\nDROP DATABASE {name};\nSELECT nothing").refused()
    project.query("UPDATE schema_steps SET ended_at = NULL WHERE step = 3 RETURNING 1")
    project.write(_1=f"{HEADER}CREATE DATABASE {name};\nSELECT 1;\nDROP DATABASE {name};\nSELECT 1").apply()
    assert project.query(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == [(0,)]
