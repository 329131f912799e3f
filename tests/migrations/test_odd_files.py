"""Files, roles and databases that would put a run off its course."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from keelson import migrations
from keelson.errors import UnreachableError
from keelson.migrations import session
from tests.migrations.project import Project, until
from tests.services import PASSWORD

HEADER = "-- keelson: no-transaction\n"


def test_what_a_function_of_a_file_sets_is_gone_for_the_next_of_the_same_message(project: Project) -> None:
    names = (
        "search_path",
        "statement_timeout",
        "lock_timeout",
        "synchronous_commit",
        "role",
        "standard_conforming_strings",
    )
    shown = "CREATE TABLE {} AS SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in names)
    sets = "PERFORM set_config('search_path', 'other', false), set_config('statement_timeout', '1h', false), set_config('lock_timeout', '1h', false)"
    project.write(
        _1=shown.format("public.before"),
        _2=f"CREATE SCHEMA other; CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {sets}; RETURN 1; END $$; CREATE TABLE t (a int)",
        _3="INSERT INTO t SELECT f()",
        _4=shown.format("after"),
    ).apply()
    assert project.query("TABLE public.after") == project.query("TABLE public.before")


def test_a_files_duration_is_its_own(project: Project) -> None:
    project.write(
        _1="CREATE TABLE a AS SELECT FROM pg_sleep(0.3)", _2="CREATE TABLE b ()", _3="CREATE TABLE c ()"
    ).apply()
    assert project.query("SELECT version FROM schema_versions WHERE duration >= '0.3 s'") == [(1,)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("DISCARD ALL", "it would give up the lock that keeps other runners out"),
        ("SELECT pg_advisory_unlock_all()", "it would give up the lock that keeps other runners out"),
        (
            "CREATE TABLE t AS SELECT 1; INSERT INTO t SELECT 1 FROM pg_advisory_unlock_all()",
            "it would give up the lock",
        ),
        ("SET client_encoding = 'LATIN1'", "files are read with client_encoding = utf8, and this says otherwise"),
        ("SET NAMES 'LATIN1'", "files are read with client_encoding = utf8"),
        ("SET standard_conforming_strings = off", "files are read with standard_conforming_strings = on"),
    ],
)
@pytest.mark.parametrize("header", ["", HEADER])
def test_what_would_mislead_the_rest_of_the_run_is_refused(
    project: Project, header: str, text: str, reason: str
) -> None:
    assert reason in project.write(_1=header + text).refused()
    assert "pg_temp" not in str(project.tables())


def test_what_pg_dump_sets_is_fine(project: Project) -> None:
    project.write(
        _1="SET statement_timeout = 0;\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"
        "SELECT pg_catalog.set_config('search_path', '', false);\nSET row_security = off;\nSET default_table_access_method = heap;\n"
        "CREATE TABLE public.t ();\nRESET client_encoding;",
        _2="CREATE TABLE u ()",
    ).apply()
    assert project.tables() == {"t", "u"}


def test_settings_of_the_role_and_the_database_do_not_matter(project: Project) -> None:
    service = project.service
    settings = {
        "statement_timeout": "1ms", "idle_in_transaction_session_timeout": "1ms", "lock_timeout": "1ms", "search_path": "nowhere",
        "standard_conforming_strings": "off", "default_transaction_isolation": "serializable", "synchronous_commit": "off",
        "datestyle": "German", "intervalstyle": "iso_8601", "client_encoding": "LATIN1", "row_security": "off", "transform_null_equals": "on",
    }  # fmt: skip
    with service.as_admin() as admin:
        for name, value in settings.items():
            admin.execute(f"ALTER ROLE {service.roles.migrator} SET {name} = '{value}'")
            admin.execute(f"ALTER DATABASE \"{service.name}\" SET {name} = '{value}'")
    statements = "".join(f"INSERT INTO t VALUES ({n}, 'it''s \\');\n" for n in range(2000))
    project.write(
        _1="CREATE TABLE t (a int, b text)",
        _2=statements,
        _3="COPY t FROM stdin;\n1\tä\n\\.\nSELECT pg_sleep(0.05);",
        _4=HEADER + "CREATE INDEX CONCURRENTLY i ON t (a); SELECT pg_sleep(0.05)",
    ).apply()
    assert project.query(
        r"SELECT count(*) FILTER (WHERE b = E'it''s \\'), count(*) FILTER (WHERE b = 'ä') FROM public.t"
    ) == [(2000, 1)]


def test_a_commit_waits_for_the_disk_though_the_role_says_no(project: Project) -> None:
    service = project.service
    with service.as_admin() as admin:
        admin.execute(f"ALTER ROLE {service.roles.migrator} SET synchronous_commit = off")
    show = "CREATE TABLE s{} AS SELECT current_setting('synchronous_commit') AS s"
    project.write(
        _1=show.format(1), _2=show.format(2), _3="SELECT 1; " + show.format(3), _4=HEADER + show.format(4)
    ).apply()
    found = [project.query(f"SELECT s FROM s{number}")[0][0] for number in range(1, 5)]
    assert found == ["off", "on", "on", "on"], "only the last of a message waits, and takes the others along"


def test_a_read_only_database_says_what_to_do(project: Project) -> None:
    project.write(_1="SELECT 1").apply()
    with project.service.as_admin() as admin:
        admin.execute(f'ALTER DATABASE "{project.service.name}" SET default_transaction_read_only = on')
    message = project.write(_2="CREATE TABLE t ()").refused()
    assert message.startswith(
        "migrations/2.sql:1: cannot execute CREATE TABLE in a read-only transaction (SQLSTATE 25006)"
    )
    assert message.endswith("give the address of the server that takes writes, or make the database writable")


def test_a_read_only_database_without_a_ledger_says_what_to_do(project: Project) -> None:
    with project.service.as_admin() as admin:
        admin.execute(f'ALTER DATABASE "{project.service.name}" SET default_transaction_read_only = on')
    assert project.write(_1="CREATE TABLE t ()").refused().endswith("takes writes, or make the database writable")


@pytest.mark.parametrize("what", ["ROLE {migrator}", 'DATABASE "{name}"'])
def test_a_connection_limit_is_said(project: Project, what: str) -> None:
    service = project.service
    with service.server.connect() as admin:
        admin.execute(f"ALTER {what.format(migrator=service.roles.migrator, name=service.name)} CONNECTION LIMIT 0")
    with pytest.raises(
        UnreachableError, match=r"too many connections for .*; raise the connection limit or close connections"
    ):
        service.as_migrator()


def test_a_flood_of_notices_is_harmless(project: Project) -> None:
    project.write(_1="DO $$ BEGIN FOR i IN 1..50000 LOOP RAISE WARNING '%', repeat('x', 100); END LOOP; END $$").apply()


MEASURED = """
import resource, sys
from pathlib import Path
from keelson import migrations
from keelson.postgres.connection import connect
connection = connect(sys.stdin.readline().strip(), application_name="runner")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
migrations.apply(connection, migrations.read_directory(Path(sys.argv[1])), owner=sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("beginning", ["", "CREATE TABLE t (a text); INSERT INTO t ", HEADER])
def test_rows_that_a_statement_returns_take_no_memory(project: Project, beginning: str) -> None:
    end = " RETURNING a" if "INSERT" in beginning else ""
    project.write(_1=f"{beginning}SELECT repeat('x', 200) FROM generate_series(1, 500000){end}")
    service = project.service
    parameters = service.server.parameters(service.name, service.roles.migrator, PASSWORD)
    found = subprocess.run(
        [sys.executable, "-c", MEASURED, str(project.directory), service.roles.owner],
        input=psycopg.conninfo.make_conninfo(**parameters) + "\n", env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        text=True, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert int(found.stdout) < 40_000, "KiB"


def test_lines_of_five_megabytes_apply(project: Project) -> None:
    long = "x; ' ".replace("'", "''") * 1_000_000
    escaped = r"x\'; " * 1_000_000
    project.write(
        _1=f"CREATE TABLE t (n int, a text); INSERT INTO t VALUES (1, '{long}');",
        _2=f"INSERT INTO t VALUES (2, E'{escaped}'); SELECT 1;",
        _3=f"INSERT INTO t VALUES (3, $a$ $b$ {long} $b$ $a$); SELECT 1",
        _4=f"COPY t FROM stdin;\n4\t{'y' * 5_000_000}\n\\.\n",
    ).apply()
    assert project.query("SELECT n, length(a) FROM t ORDER BY n") == [
        (1, 5_000_000),
        (2, 4_000_000),
        (3, 6_000_010),
        (4, 5_000_000),
    ]


def test_an_event_trigger_that_sets_the_session_changes_nothing(project: Project) -> None:
    with project.service.as_admin() as admin:
        admin.execute("""
            CREATE SCHEMA other;
            CREATE FUNCTION public.astray() RETURNS event_trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM set_config('search_path', 'other', false); END $$;
            CREATE EVENT TRIGGER astray ON ddl_command_end EXECUTE FUNCTION public.astray();
        """)
    project.write(
        _1="CREATE TABLE a ()",
        _2="CREATE TABLE b ()",
        _3="SELECT 1; CREATE TABLE c ()",
        _4=HEADER + "CREATE TABLE d ()",
    )
    project.apply()
    assert project.tables() == {"a", "b", "c", "d"}


def test_a_deadlock_is_tried_again(project: Project) -> None:
    project.write(_1="CREATE TABLE a (n int); CREATE TABLE b (n int)").apply()
    project.write(_2="LOCK TABLE a; SELECT pg_sleep(0.5); LOCK TABLE b")
    told: list[str] = []
    with project.service.as_admin() as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE b")
        with project.service.as_admin() as admin:
            admin.execute(f"ALTER DATABASE \"{project.service.name}\" SET deadlock_timeout = '100ms'")
        applied = pool.submit(project.apply, on_progress=told.append)
        until(lambda: bool(project.query("SELECT FROM pg_locks WHERE relation = 'a'::regclass AND granted")))
        other.execute("LOCK TABLE a; COMMIT")
        applied.result()
    assert any("trying again" in line for line in told)
    assert project.query("SELECT count(*) FROM schema_versions") == [(2,)]


def test_a_reader_never_waits_longer_than_the_lock_timeout(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ATTEMPTS", 2)
    project.write(_1="CREATE TABLE t ()").apply()
    project.write(_2="SET LOCAL lock_timeout = '300ms'; ALTER TABLE t ADD a int")
    waiting = "SELECT FROM pg_locks WHERE relation = 't'::regclass AND NOT granted"
    with ExitStack() as opened, ThreadPoolExecutor(2) as pool:
        holder, reader = (opened.enter_context(project.service.as_admin()) for _ in range(2))
        holder.execute("BEGIN; SELECT FROM t")
        message = pool.submit(project.refused)
        until(lambda: bool(project.query(waiting)))
        read = pool.submit(reader.execute, "SELECT FROM t")
        assert until(read.done, 5) < 1
        assert "(SQLSTATE 55P03)" in message.result()


def test_a_table_with_capitals_is_named_with_its_holder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ATTEMPTS", 1)
    project.write(_1='CREATE SCHEMA "A b"; CREATE TABLE "A b"."My ""Table" ()').apply()
    project.write(_2='SET LOCAL lock_timeout = \'50ms\'; ALTER TABLE "A b"."My ""Table" ADD a int')
    with project.service.as_admin() as other:
        other.execute('BEGIN; SELECT FROM "A b"."My ""Table"')
        assert f"keelson test (pid {other.info.backend_pid}, login postgres" in project.refused()


def test_what_a_file_takes_for_its_session_ends_with_it(project: Project) -> None:
    project.write(
        _1="LISTEN l; SELECT pg_advisory_lock(42); CREATE TEMP TABLE schema_versions (); PREPARE p AS SELECT 1",
        _2="CREATE TABLE t AS SELECT count(*)::int AS n FROM pg_listening_channels()",
        _3="PREPARE p AS SELECT 1; CREATE TEMP TABLE schema_versions ()",
    ).apply()
    assert project.query("SELECT n FROM t") == [(0,)]
    assert project.query("SELECT count(*) FROM schema_versions") == [(3,)]
    project.write(_4="SELECT pg_advisory_lock(42)").apply()


def test_nothing_to_do_takes_no_lock_and_writes_nothing_for_a_reader(project: Project) -> None:
    project.write(_1="SELECT 1").apply()
    project.service.open()
    with project.service.as_login(project.service.roles.readonly_a) as reader:
        assert list(migrations.apply(reader, project.files())) == ["1.sql"]


def test_a_function_that_is_named_like_a_built_in_one_is_not_called(project: Project) -> None:
    with project.service.as_admin() as admin:
        for name, result in (
            ("clock_timestamp()", "timestamptz"),
            ("set_config(text, text, boolean)", "text"),
            ("min(bigint)", "bigint"),
        ):
            admin.execute(
                f"CREATE FUNCTION public.{name} RETURNS {result} LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'astray'; END $$"
            )
        admin.execute(f'ALTER DATABASE "{project.service.name}" SET search_path = public, pg_catalog')
        admin.execute(f"ALTER ROLE {project.service.roles.migrator} SET search_path = public, pg_catalog")
    project.write(
        _1="CREATE TABLE a ()", _2="CREATE TABLE b ()", _3="SELECT 1", _4=HEADER + "CREATE TABLE c ()"
    ).apply()
    assert project.tables() == {"a", "b", "c"}
