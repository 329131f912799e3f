from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from keelson import migrations
from keelson.errors import LockError, MigrationError
from keelson.migrations.session import LOCK_KEY
from keelson.postgres.catalog import schema_version
from keelson.postgres.databases import grant_schemas
from keelson.postgres.locks import advisory_lock
from tests.migrations.project import Project, until


def test_migrations_are_applied_in_order_once_and_stand_in_the_ledger(project: Project) -> None:
    project.write(
        _001_users="CREATE TABLE users (a int); INSERT INTO users VALUES (1)",
        _2="-- Description: more\nINSERT INTO users VALUES (2)",
    )
    (project.directory / "001_users.down.sql").write_text("DROP TABLE users")
    told: list[str] = []
    ledger = project.apply(on_progress=told.append)
    assert ledger == {file.name: file.sha256 for file in project.files()}
    assert list(ledger) == ["001_users.sql", "2.sql"]
    assert told == [f"{project.service.name}: 001_users.sql (1 of 2)", f"{project.service.name}: 2.sql (2 of 2)"]
    assert project.apply(on_progress=told.append) == ledger
    assert len(told) == 2
    assert project.query("SELECT a FROM users ORDER BY a") == [(1,), (2,)]
    rows = project.query("""SELECT version, description, file, outcome, undo, duration > '0', applied_by ~ '_migrator from .+@.+',
        now() - applied_at < '1 min' FROM schema_versions ORDER BY version""")
    assert rows == [
        (1, "users", "001_users.sql", "applied", "DROP TABLE users", True, True, True),
        (2, "more", "2.sql", "applied", None, True, True, True),
    ]
    with project.service.as_admin() as admin:
        assert schema_version(admin) == 2


def test_the_ledgers_first_columns_are_the_documents_and_the_owner_owns_all(project: Project) -> None:
    project.write(_1="CREATE TABLE t (); CREATE SCHEMA s; CREATE TABLE s.t ()").apply()
    columns = project.query(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'schema_versions'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert [row[0] for row in columns] == [
        "version", "applied_at", "description", "file", "checksum", "duration", "applied_by", "outcome", "undo", "text_checksum",
    ]  # fmt: skip
    owners = project.query("""SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 's'::regnamespace)
        AND relname IN ('t', 'schema_versions')""")
    assert owners == [(project.service.roles.owner,)]


def test_the_application_reads_the_ledger_and_cannot_write_it(project: Project) -> None:
    project.write(_1="SELECT 1").apply()
    with project.service.as_migrator() as connection:
        grant_schemas(connection, project.service.name)
        assert list(migrations.read_ledger(connection)) == ["1.sql"]
    project.service.open()
    with project.service.as_login(project.service.roles.app_a) as app:
        assert app.execute("SELECT version FROM schema_versions").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("DELETE FROM schema_versions")


def test_a_reader_sees_the_status_without_any_other_right(project: Project) -> None:
    project.write(_1="SELECT 1").apply()
    project.write(_2="SELECT 2")
    project.service.open()
    with project.service.as_login(project.service.roles.readonly_a) as reader:
        states = [(item.file, item.state) for item in migrations.status(reader, project.files())]
    assert states == [("1.sql", "applied"), ("2.sql", "pending")]


def test_a_failed_file_leaves_nothing_and_the_earlier_ones_stay(project: Project) -> None:
    project.write(
        _1="CREATE TABLE one ()",
        _2="CREATE TABLE two ();\n\nINSERT INTO two\n  SELECT nothing;\n",
        _3="CREATE TABLE three ()",
    )
    message = project.refused()
    assert message.startswith(
        'migrations/2.sql:4: column "nothing" does not exist (SQLSTATE 42703); nothing of the file was kept'
    )
    assert project.tables() == {"one"}
    assert project.query("SELECT file FROM schema_versions") == [("1.sql",)]
    project.write(_2="CREATE TABLE two ()").apply()
    assert project.tables() == {"one", "two", "three"}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (
            "CREATE TABLE t (a text UNIQUE);\nINSERT INTO t VALUES ('geheim'), ('geheim')",
            2,
            '"t_a_key" (SQLSTATE 23505)',
        ),
        ("SELECT 1;\nSELECT 'geheim'::int", 2, "invalid input syntax for type integer: … (SQLSTATE 22P02)"),
        ("CREATE TABLE t (a int);\nCOPY t FROM stdin;\n1\n2\ngeheim\n\\.\n", 5, "type integer: … (SQLSTATE 22P02)"),
        ("CREATE TABLE t (a int CHECK (a < 5));\nINSERT INTO t\nVALUES (4711)", 2, '"t_a_check" (SQLSTATE 23514)'),
        (
            "CREATE TABLE p (a int PRIMARY KEY);\nCREATE TABLE t (a int REFERENCES p DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO t VALUES (4711)",
            None,
            "(SQLSTATE 23503)",
        ),
        ("SELECT 1;\nDO $$ BEGIN\n RAISE EXCEPTION 'no'; END $$", 2, "no (SQLSTATE P0001)"),
        ("SELECT 'ü☃';\nSELECT 'ü☃',\n  wrong", 3, "(SQLSTATE 42703)"),
    ],
)
def test_an_error_names_file_line_and_state_but_no_data(
    project: Project, text: str, line: int | None, what: str
) -> None:
    message = project.write(_1=text).refused()
    assert message.startswith(f"migrations/1.sql:{line}: " if line else "migrations/1.sql: ")
    assert what in message
    assert "geheim" not in message
    assert "4711" not in message
    assert project.tables() == set()


def test_inline_copy_data_is_loaded(project: Project) -> None:
    project.write(
        _1="CREATE TABLE t (a int, b text);\nCOPY t FROM stdin;\n1\tit's; fine\n2\t\\N\n\\.\nINSERT INTO t VALUES (3, 'x');"
    ).apply()
    assert project.query("SELECT * FROM t ORDER BY a") == [(1, "it's; fine"), (2, None), (3, "x")]


def test_a_file_with_byte_order_mark_and_crlf_applies_with_the_same_hash(project: Project) -> None:
    text = "CREATE TABLE t (a text);\nINSERT INTO t VALUES ('ä');\n"
    project.path("1").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    ledger = project.apply()
    project.path("1").write_text(text, encoding="utf-8")
    assert project.apply() == ledger
    assert project.query("SELECT a FROM t") == [("ä",)]


def test_a_file_cannot_end_its_own_transaction(project: Project) -> None:
    message = project.write(_1="CREATE TABLE t ();\nCOMMIT;\nSELECT wrong").refused()
    assert message.startswith("migrations/1.sql:2: a migration is one transaction already")
    assert project.tables() == set()


def test_what_a_file_sets_is_gone_for_the_next(project: Project) -> None:
    project.write(
        _1="""CREATE SCHEMA s; SET search_path = s; SET statement_timeout = '1h'; SET datestyle = 'German';
              CREATE TEMP TABLE left_over (); DECLARE c CURSOR WITH HOLD FOR SELECT 1; PREPARE p AS SELECT 1; RESET ROLE""",
        _2="CREATE TABLE t AS SELECT current_user::text AS who, current_setting('statement_timeout') AS timeout, current_setting('datestyle') AS style",
        _3="CREATE TEMP TABLE left_over (); SET ROLE NONE",
    ).apply()
    assert project.query("SELECT * FROM public.t") == [(project.service.roles.owner, "0", "ISO, MDY")]


def test_an_edited_applied_file_is_refused_by_name(project: Project) -> None:
    project.write(_1="CREATE TABLE t ()").apply()
    message = project.write(_1="CREATE TABLE u ()", _2="CREATE TABLE v ()").refused()
    assert message.startswith("migrations/1.sql was changed after it was applied")
    assert project.tables() == {"t"}
    with project.service.as_admin() as admin:
        assert [item.state for item in migrations.status(admin, project.files())] == ["changed", "pending"]


def test_a_file_out_of_order_is_refused_by_name(project: Project) -> None:
    project.write(_1="SELECT 1", _5="SELECT 1").apply()
    assert (
        "migrations/3.sql comes before 5.sql, which is applied; give it a number above 5"
        in project.write(_3="SELECT 1").refused()
    )
    with project.service.as_admin() as admin:
        assert [item.state for item in migrations.status(admin, project.files())] == [
            "applied",
            "out of order",
            "applied",
        ]


def test_a_database_ahead_of_the_files_is_shown_and_not_touched(project: Project) -> None:
    project.write(_1="SELECT 1", _2="SELECT 2").apply()
    project.path("2").unlink()
    assert "2.sql was applied to" in project.refused()
    with project.service.as_admin() as admin:
        assert [item.state for item in migrations.status(admin, project.files())] == ["applied", "missing"]


def test_a_renamed_file_is_recognised(project: Project) -> None:
    project.write(_1_a="SELECT 1").apply()
    project.path("1_a").rename(project.path("1_b"))
    assert "1_a.sql was applied" in (message := project.refused())
    assert "rename migrations/1_b.sql back" in message


def test_a_file_that_changes_after_the_plan_is_refused_before_it_runs(project: Project) -> None:
    files = project.write(_1="CREATE TABLE t ()").files()
    project.write(_1="CREATE TABLE u ()")
    with (
        project.service.as_migrator() as connection,
        pytest.raises(MigrationError, match=r"1.sql changed since the plan was made"),
    ):
        migrations.apply(connection, files, owner=project.service.roles.owner)
    assert project.tables() == set()


def test_rows_of_another_tool_ask_for_a_baseline(project: Project) -> None:
    with project.service.as_admin() as admin:
        admin.execute(
            "CREATE TABLE schema_versions (version bigint PRIMARY KEY, applied_at timestamptz DEFAULT now(), description text)"
        )
        admin.execute(f"ALTER TABLE schema_versions OWNER TO {project.service.roles.owner}")
    project.write(_1="CREATE TABLE t ()").apply()
    assert project.tables() == {"t"}, "an empty table of the documents' form is completed"
    project.query("INSERT INTO schema_versions (version) VALUES (7) RETURNING 1")
    assert "has version 7 without a file, from another tool; `keelson migrate import`" in project.refused()


def test_a_login_without_rights_gets_one_clear_sentence(project: Project) -> None:
    project.service.open()
    project.write(_1="CREATE TABLE t ()")
    with project.service.as_login(project.service.roles.app_a) as app:
        for owner in (None, project.service.roles.owner):
            with pytest.raises(
                MigrationError, match=r"permission denied .*\(SQLSTATE 42501\); check the rights of that login"
            ):
                migrations.apply(app, project.files(), owner=owner)


def test_four_runners_on_a_fresh_database_apply_each_file_once(project: Project) -> None:
    for number in range(1, 9):
        project.write(**{f"_{number}": f"CREATE TABLE t{number} (); SELECT pg_sleep(0.02)"})
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(lambda _: project.apply(), range(4)))
    assert all(ledger == ledgers[0] for ledger in ledgers)
    assert len(ledgers[0]) == len(project.tables()) == 8


def test_one_who_waits_too_long_learns_who_migrates(project: Project) -> None:
    project.write(_1="SELECT 1")
    with project.service.as_admin() as other, advisory_lock(other, LOCK_KEY, "test", 1):
        with pytest.raises(
            LockError,
            match=rf"migrations and seeds of database '{project.service.name}', which is held by keelson test \(pid {other.info.backend_pid}, login postgres",
        ):
            project.apply(lock_deadline=0.3)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        assert other.execute(waiting).fetchone() == (0,)
    project.apply(lock_deadline=0.3)


def test_nothing_to_do_takes_no_lock_and_writes_nothing(project: Project) -> None:
    project.write(_1="SELECT 1").apply()
    with project.service.as_admin() as other, advisory_lock(other, LOCK_KEY, "test", 1):
        before = other.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert len(project.apply(lock_deadline=0.1)) == 1
        del before


def test_the_server_ends_the_work_of_a_killed_runner(project: Project) -> None:
    project.write(_1="CREATE TABLE one ()", _2="CREATE TABLE two (); SELECT pg_sleep(60)")
    process = project.started()
    running = f"SELECT FROM pg_stat_activity WHERE datname = '{project.service.name}' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    until(lambda: bool(project.query(running)))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert until(lambda: not project.query(running)) < 2
    until(
        lambda: (
            not project.query(
                "SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    )
    assert project.tables() == {"one"}
    project.write(_2="CREATE TABLE two ()").apply(lock_deadline=1)
    assert project.tables() == {"one", "two"}


def test_a_migration_can_be_cancelled(project: Project) -> None:
    project.write(_1="SELECT pg_sleep(60)")
    event = threading.Event()
    timer = threading.Timer(0.3, event.set)
    timer.start()
    with (
        project.service.as_migrator() as connection,
        pytest.raises(MigrationError, match="SQLSTATE 57014"),
        migrations.cancel_on(connection, event),
    ):
        migrations.apply(connection, project.files(), owner=project.service.roles.owner)
    timer.join()


def test_a_table_in_use_is_tried_again_until_it_is_free(project: Project) -> None:
    project.write(_1="CREATE TABLE t ()").apply()
    project.write(_2="SET LOCAL lock_timeout = '100ms'; ALTER TABLE t ADD a int")
    with project.service.as_admin() as other:
        other.execute("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE")
        project.apply(on_progress=lambda line: other.execute("COMMIT") and None if "trying again" in line else None)
    assert project.query("SELECT a FROM t") == []


def test_a_lost_connection_says_so(project: Project) -> None:
    project.write(_1="CREATE TABLE t (); SELECT pg_sleep(60)")
    end = f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '{project.service.name}' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"""
    with ThreadPoolExecutor(1) as pool:
        message = pool.submit(project.refused)
        until(lambda: bool(project.query(end)))
        assert "1.sql:1: terminating connection due to administrator command (SQLSTATE 57P01)" in message.result()
    assert project.tables() == set()


def test_what_came_before_a_failure_is_on_disk_when_that_is_told(project: Project) -> None:
    project.write(_1="CREATE TABLE t AS SELECT generate_series(1, 1000)", _2="CREATE TABLE t ()")
    written: list[object] = []
    with project.service.as_admin() as admin, project.service.as_migrator() as migrator:
        admin.execute(f"ALTER DATABASE {project.service.name} SET synchronous_commit = on")
        admin.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        admin.execute("SELECT pg_reload_conf()")
        try:
            migrator.execute("SET synchronous_commit = on")

            def tell(line: str) -> None:
                if "2.sql" in line:
                    written.extend(admin.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or ())

            project.refused_on(migrator, tell)
            flushed = admin.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", written).fetchone()
        finally:
            admin.execute("ALTER SYSTEM RESET wal_writer_delay")
            admin.execute("SELECT pg_reload_conf()")
    assert flushed == (True,)
