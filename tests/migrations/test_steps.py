from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.migrations.project import Project, until
from tests.services import Service

HEADER = "-- keelson: no-transaction\n"


def steps(project: Project) -> list[tuple[object, ...]]:
    return project.query("SELECT step, ended_at IS NOT NULL FROM schema_steps ORDER BY step")


def indexes(project: Project) -> dict[str, bool]:
    query = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 't'::regclass"
    return {str(name): bool(is_valid) for name, is_valid in project.query(query)}


@pytest.fixture
def filled(project: Project) -> Project:
    return project.write(_1="CREATE TABLE t (a int, b int); INSERT INTO t SELECT n, n FROM generate_series(1, 1000) n")


def test_what_cannot_run_in_a_transaction_runs_in_a_file_without_one(filled: Project) -> None:
    filled.write(
        _2=HEADER + "CREATE INDEX CONCURRENTLY t_a ON t (a);\nVACUUM t;\nREINDEX TABLE CONCURRENTLY t;\n"
        "DROP INDEX CONCURRENTLY t_a;\nCREATE TYPE mood AS ENUM ('sad');\nALTER TYPE mood ADD VALUE 'glad';\n"
        "CREATE TABLE moods (m mood DEFAULT 'glad');\nCALL p();",
        _1_5="SELECT 1",
    )
    filled.path("1_5").rename(filled.path("0"))
    filled.write(_0="CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (0, 0); COMMIT; END $$")
    filled.apply()
    assert filled.query("SELECT file, duration > '0' FROM schema_versions WHERE version = 2") == [("2.sql", True)]
    assert filled.query("SELECT count(*) FROM t WHERE a = 0") == [(1,)]
    assert steps(filled) == []
    owners = filled.query("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'moods'")
    assert owners == [(filled.service.roles.owner,)]


@pytest.mark.parametrize(
    "text",
    ["VACUUM t", "CREATE INDEX CONCURRENTLY i ON t (a)", "ALTER TABLE t DETACH PARTITION p CONCURRENTLY"],
)
def test_the_directive_is_suggested_where_it_is_missing(filled: Project, text: str) -> None:
    message = filled.write(_2="SELECT 1;\n" + text).refused()
    assert message.startswith("migrations/2.sql:2: ")
    assert message.endswith("begin the file with the line `-- keelson: no-transaction`")


def test_a_procedure_that_commits_asks_for_the_directive(project: Project) -> None:
    project.write(_1="CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'", _2="CALL p()")
    assert "(SQLSTATE 2D000); nothing of the file was kept; it ends transactions itself: begin" in project.refused()


def test_a_new_value_that_is_used_at_once_asks_for_the_directive(project: Project) -> None:
    project.write(_1="CREATE TYPE m AS ENUM ('a')", _2="ALTER TYPE m ADD VALUE 'b'; CREATE TABLE t (m m DEFAULT 'b')")
    assert "(SQLSTATE 55P04)" in (message := project.refused())
    assert "-- keelson: no-transaction" in message


def test_a_directive_after_the_first_statement_is_refused(project: Project) -> None:
    project.path("1").write_text("SELECT 1;\n-- keelson: no-transaction\n")
    assert "1.sql:2: the directive no-transaction must stand before the first statement" in project.refused_to_read()
    project.path("1").write_text("-- keelson: no-transactoin\nSELECT 1;\n")
    assert "1.sql:1: no-transactoin is no directive; there are" in project.refused_to_read()


def test_a_retry_goes_on_with_the_statement_that_failed(filled: Project) -> None:
    done = HEADER + "CREATE TABLE one ();\nCREATE INDEX CONCURRENTLY t_a ON t (a);\n"
    message = filled.write(_2=done + "SELECT nothing;\nCREATE TABLE two ();").refused()
    assert message.startswith('migrations/2.sql:4: column "nothing" does not exist (SQLSTATE 42703)')
    assert "statements 1 to 2 are done, and the next run goes on here" in message
    assert steps(filled) == [(1, True), (2, True)]
    assert filled.query("SELECT count(*) FROM schema_versions WHERE version = 2") == [(0,)]
    filled.write(_2=done + "SELECT 1;\nCREATE TABLE two ();").apply()
    assert filled.tables() == {"t", "one", "two"}
    assert steps(filled) == []


def test_a_statement_that_is_done_cannot_change_before_the_retry(filled: Project) -> None:
    filled.write(_2=HEADER + "CREATE TABLE one ();\nSELECT nothing").refused()
    message = filled.write(_2=HEADER + "CREATE TABLE other ();\nSELECT 1").refused()
    assert "migrations/2.sql:2: statement 1 ran already, and the file has another one there now" in message
    assert filled.tables() == {"t", "one"}


def test_an_index_without_a_name_is_refused_where_a_retry_could_not_find_it(filled: Project) -> None:
    message = filled.write(_2=HEADER + "CREATE TABLE one ();\nCREATE INDEX CONCURRENTLY ON t (a)").refused()
    assert "2.sql:3: an index that is built outside a transaction needs a name" in message
    assert filled.tables() == {"t"}


def test_an_invalid_index_is_said_and_the_retry_builds_it_anew(filled: Project) -> None:
    text = HEADER + "CREATE UNIQUE INDEX CONCURRENTLY t_b ON t (b)"
    filled.write(_2="INSERT INTO t VALUES (1, 1)", _3=text)
    message = filled.refused()
    assert "(SQLSTATE 23505)" in message
    assert "it left the invalid index t_b, which the next run removes" in message
    assert indexes(filled) == {"t_b": False}
    filled.query("DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t) RETURNING 1")
    told: list[str] = []
    filled.apply(on_progress=told.append)
    assert any("dropped the invalid index t_b, which an interrupted run left" in line for line in told)
    assert indexes(filled) == {"t_b": True}


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_detachment_that_was_interrupted_is_finished(project: Project, *, is_finished: bool) -> None:
    project.write(
        _1="CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE c PARTITION OF p FOR VALUES IN (1)"
    ).apply()
    project.write(_2=HEADER + "ALTER TABLE p DETACH PARTITION c CONCURRENTLY;\nSELECT 1")
    with project.service.as_admin() as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN; SELECT * FROM p")
        message = pool.submit(project.refused)
        pending = (
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE p DETACH%' AND wait_event_type = 'Lock'"
        )
        until(lambda: bool(project.query(pending)))
        project.query(f"SELECT pg_terminate_backend(({pending} LIMIT 1))")
        message.result()
    assert project.query("SELECT inhdetachpending FROM pg_inherits") == [(True,)]
    if is_finished:
        with project.service.as_admin() as other:
            other.execute("ALTER TABLE p DETACH PARTITION c FINALIZE")
    project.apply()
    assert project.query("SELECT count(*) FROM pg_inherits") == [(0,)]


def test_a_killed_runners_index_is_built_by_the_next(filled: Project) -> None:
    filled.apply()
    filled.write(_2=HEADER + "CREATE INDEX CONCURRENTLY t_a ON t (a);\nCREATE TABLE two ()")
    with filled.service.as_admin() as other:
        other.execute("BEGIN; INSERT INTO t VALUES (0, 0)")  # the build waits for it
        process = filled.started()
        until(lambda: indexes(filled) == {"t_a": False})
        process.send_signal(signal.SIGKILL)
        process.wait()
        other.execute("COMMIT")
    told: list[str] = []
    filled.apply(on_progress=told.append)
    assert indexes(filled) == {"t_a": True}
    assert filled.tables() == {"t", "two"}


def test_others_who_wait_for_the_lock_do_not_deadlock_with_an_index(filled: Project) -> None:
    filled.write(_2=HEADER + "CREATE INDEX CONCURRENTLY t_a ON t (a)", _3="SELECT pg_sleep(0.2)")
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(lambda _: filled.apply(), range(4)))
    assert all(len(ledger) == 3 for ledger in ledgers)
    assert indexes(filled) == {"t_a": True}


def test_an_index_of_a_hypertable_is_built_chunk_by_chunk_and_built_again_after_a_kill(
    service: Service, tmp_path: Path
) -> None:
    service.make("timescaledb")
    directory = tmp_path / "migrations"
    directory.mkdir()
    project = Project(service, directory)
    chunks = "SELECT now() - n * interval '1 day', n FROM generate_series(1, 20) n"
    project.write(
        _1=f"CREATE TABLE t (at timestamptz, a int); SELECT create_hypertable('t', 'at', chunk_time_interval => interval '1 day'); INSERT INTO t {chunks}"
    )
    project.apply()
    text = "CREATE INDEX t_a ON t (a) WITH (timescaledb.transaction_per_chunk)"
    assert "begin the file with the line `-- keelson: no-transaction`" in project.write(_2=text).refused()
    project.write(_2=HEADER + text)
    chunk = str(project.query("SELECT max(c::text) FROM show_chunks('t') c")[0][0])
    with project.service.as_admin() as other:
        other.execute(f"BEGIN; UPDATE {chunk} SET a = a")
        process = project.started()
        until(lambda: indexes(project).get("t_a") is False)
        process.send_signal(signal.SIGKILL)
        process.wait()
        other.execute("ROLLBACK")
    project.apply()
    assert indexes(project)["t_a"]
    per_chunk = "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid IN (SELECT show_chunks('t')) AND indexrelid::regclass::text ~ 't_a$'"
    assert project.query(per_chunk) == [(len(project.query("SELECT show_chunks('t')")),)]
