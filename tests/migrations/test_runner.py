from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from keelson import migrations
from keelson.errors import UnreachableError
from keelson.local import root
from keelson.migrations import session
from keelson.migrations.session import LOCK_KEY
from keelson.postgres.connection import connect
from keelson.postgres.locks import advisory_lock
from tests.migrations.project import Project, until
from tests.services import PASSWORD


def many(project: Project, number: int, **others: str) -> None:
    """Write files that are sent together, and others among them."""
    project.write(
        **{f"_{n:03d}": f"CREATE TABLE t{n} (a int);\nINSERT INTO t{n}\nVALUES ({n});" for n in range(1, number + 1)}
    )
    project.write(**others)


def test_files_that_are_sent_together_are_one_transaction_each(project: Project) -> None:
    many(project, 150)
    told: list[str] = []
    assert len(project.apply(on_progress=told.append)) == 150
    assert told == [f"{project.service.name}: {n:03d}.sql ({n} of 150)" for n in range(1, 151)]
    assert len(project.query("SELECT DISTINCT xmin::text FROM schema_versions")) == 150
    assert len(project.tables()) == 150


@pytest.mark.parametrize("bad", [1, 40, 64, 65, 100])
def test_a_failure_among_them_leaves_those_before_and_names_the_line(project: Project, bad: int) -> None:
    many(project, 100, **{f"_{bad:03d}": "CREATE TABLE ok (a int);\n\nINSERT INTO\n  nothing VALUES (1);"})
    message = project.refused()
    assert message.startswith(f'migrations/{bad:03d}.sql:4: relation "nothing" does not exist (SQLSTATE 42P01)')
    assert project.tables() == {f"t{n}" for n in range(1, bad)}
    assert project.query("SELECT count(*) FROM schema_versions") == [(bad - 1,)]


def test_an_error_without_a_position_names_the_statement_s_first_line(project: Project) -> None:
    many(project, 5, _003="CREATE TABLE ok (a int UNIQUE);\nINSERT INTO ok VALUES (1);\nINSERT INTO ok VALUES (1);")
    assert project.refused().startswith("migrations/003.sql:3: duplicate key value")


def test_a_deferred_constraint_stops_only_its_own_file(project: Project) -> None:
    many(
        project,
        4,
        _003="CREATE TABLE p (a int PRIMARY KEY);\nCREATE TABLE c (a int REFERENCES p DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO c VALUES (1)",
    )
    assert project.refused().startswith("migrations/003.sql: insert or update on table")
    assert project.tables() == {"t1", "t2"}


def test_a_file_that_is_no_sql_leaves_those_before_it_applied(project: Project) -> None:
    many(project, 9, _007="CREATE TABLE t7 (;")
    assert project.refused().startswith("migrations/007.sql:1: syntax error")
    assert len(project.tables()) == 6


def test_a_large_file_and_one_with_rows_keep_their_place(project: Project) -> None:
    rows = "".join(f"{n}\tx\n" for n in range(20_000))
    many(
        project,
        6,
        _002=f"CREATE TABLE big (a int, b text);\nCOPY big FROM stdin;\n{rows}\\.\n",
        _004="INSERT INTO big SELECT * FROM big",
    )
    project.apply()
    assert project.query("SELECT count(*) FROM big") == [(40_000,)]


def test_a_statement_that_ends_with_a_comment_ends_there(project: Project) -> None:
    project.write(
        _1="CREATE TABLE one () -- the first\n;\nCREATE TABLE two () -- and last", _2="CREATE TABLE three () /* ; */"
    ).apply()
    assert project.tables() == {"one", "two", "three"}


def test_who_stops_listening_leaves_a_connection_that_works(project: Project) -> None:
    many(project, 30, _015="CREATE TABLE t15 AS SELECT pg_sleep(60)")

    def stop(line: str) -> None:
        if "015.sql" in line:
            raise KeyboardInterrupt

    with project.service.as_migrator() as connection:
        with pytest.raises(KeyboardInterrupt):
            migrations.apply(connection, project.files(), owner=project.service.roles.owner, on_progress=stop)
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert project.tables() == {f"t{n}" for n in range(1, 15)}


def test_an_error_in_a_file_of_many_statements_names_its_line(project: Project) -> None:
    inserts = "INSERT INTO t VALUES (1);\n" * 5000
    project.write(_1=f"SELECT 1;\nCREATE TABLE t (a int);\n{inserts}INSERT INTO t\n  VALUES (nothing);\n{inserts}")
    assert project.refused().startswith('migrations/1.sql:5004: column "nothing" does not exist')
    assert project.tables() == set()


def test_a_begin_and_commit_round_a_whole_file_change_nothing(project: Project) -> None:
    project.write(
        _1="BEGIN;\nCREATE TABLE one ();\nCOMMIT;\n", _2="start transaction; CREATE TABLE two (); END"
    ).apply()
    assert project.tables() == {"one", "two"}
    assert "2 statements" not in project.write(_3="BEGIN;\nCREATE TABLE three ();").refused()
    assert project.tables() == {"one", "two"}


def test_who_holds_the_table_is_told_and_named_at_the_end(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ATTEMPTS", 2)
    project.write(_1="CREATE TABLE t ()").apply()
    project.write(_2="ALTER TABLE t ADD a int")
    told: list[str] = []
    roles = project.service.roles
    parameters = project.service.server.parameters(project.service.name, roles.migrator, PASSWORD)
    with (
        project.service.as_admin() as other,
        connect(parameters, application_name="keelson test", lock_timeout=0.05) as migrator,
    ):
        other.execute("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE")
        message = project.refused_on(migrator, told.append)
        holder = f"keelson test (pid {other.info.backend_pid}, login postgres"
    assert holder in message
    assert "(SQLSTATE 55P03); nothing of the file was kept" in message
    assert len([line for line in told if "trying again" in line and holder in line]) == 1


def test_a_runner_that_waits_tells_for_whom(project: Project) -> None:
    project.write(_1="SELECT 1")
    told: list[str] = []
    with project.service.as_admin() as other, ThreadPoolExecutor(1) as pool:
        with advisory_lock(other, LOCK_KEY, "test", 1):
            waiting = pool.submit(project.apply, on_progress=told.append)
            until(lambda: any("which is held by keelson test" in line for line in told))
        waiting.result()
    assert told[-1].endswith("1.sql (1 of 1)")


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_is_refused_plainly(project: Project, tmp_path: Path, mode: str) -> None:
    project.write(_1="CREATE TABLE t ()")
    with (
        pooled(project, tmp_path, mode) as parameters,
        connect(parameters, application_name="keelson test") as connection,
        pytest.raises(UnreachableError, match=r"is a pooler, .*; give the address of the server itself"),
    ):
        migrations.apply(connection, project.files(), owner=project.service.roles.owner)
    assert project.tables() == set()


@contextmanager
def pooled(project: Project, folder: Path, mode: str) -> Iterator[dict[str, str]]:
    """Run PgBouncer before the project's server."""
    login, server = project.service.roles.migrator, project.service.server
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "users.txt").write_text(f'"{login}" "{PASSWORD}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"auth_type = scram-sha-256\nauth_file = /data/users.txt\npool_mode = {mode}\nignore_startup_parameters = options\n"
    )
    command = root.find().command(["/usr/sbin/pgbouncer", "/data/pgbouncer.ini"], data=folder)
    process = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=root.plain_environment()
    )
    try:
        yield server.parameters(project.service.name, login, PASSWORD) | {"port": str(port)}
    finally:
        process.kill()
        process.wait()
