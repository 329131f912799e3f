"""A restore that takes the place of the live database: all of it, or nothing, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import psycopg
import pytest
from psycopg import sql

from keelson.backups.copies import ASLEEP, copies
from keelson.backups.engines import Destination
from keelson.backups.store import Backup
from keelson.backups.swapping import Rights, Swapped, copy_name, finish, restore_over, swap_in
from keelson.endpoint import resolve
from keelson.postgres.bounds import Bounds
from keelson.postgres.databases import open_access
from keelson.postgres.roles import ExtraLogin
from tests.backups.conftest import Subject
from tests.backups.test_restoring import EVERYTHING, RICH, edited, refused
from tests.stack.harness import wait_until


def destination(subject: Subject, backup: Backup) -> Destination:
    return subject.copy(copy_name(subject.name, backup))


def over(subject: Subject, backup: Backup, rights: Rights | None = None) -> Swapped:
    return restore_over(backup, destination(subject, backup), rights)


def about(subject: Subject) -> tuple[object, ...]:
    """What the server says of the live database itself, but for its number."""
    query = """
        SELECT datdba::regrole, datacl::text, datconnlimit, datallowconn, shobj_description(d.oid, 'pg_database'), ARRAY(
            SELECT s.setrole::regrole::text || array_to_string(s.setconfig, ';') FROM pg_db_role_setting s WHERE s.setdatabase = d.oid ORDER BY 1)
        FROM pg_database d WHERE datname = %s
    """
    with resolve(subject.administrator).connect() as admin:
        row = admin.execute(query, [subject.name]).fetchone()
    assert row
    return (row[0], sorted(row[1].strip("{}").split(",")), *row[2:])


@pytest.fixture
def live(filled: Subject) -> Subject:
    """The service with 20,000 rows, open to its application."""
    with filled.connect() as admin:
        admin.execute(f"ALTER TABLE t OWNER TO {filled.roles.owner}; GRANT SELECT ON t TO {filled.roles.app}")
        open_access(admin, filled.name)
    return filled


def count(subject: Subject, database: str = "", login: str = "") -> int:
    with subject.connect(database, login) as connection:
        row = connection.execute("SELECT count(*) FROM t").fetchone()
    assert row
    return int(row[0])


def test_a_backup_takes_the_place_of_the_live_database_and_the_old_one_is_kept(live: Subject) -> None:
    made = live.back_up()
    with live.connect() as admin:
        admin.execute("DELETE FROM t WHERE a > 100")
    swapped = over(live, made)
    assert (count(live), count(live, swapped.kept)) == (20_000, 100)
    assert count(live, login=live.roles.app_a) == 20_000
    with pytest.raises(psycopg.OperationalError, match=r"permission denied|too many connections"):
        live.connect(swapped.kept, live.roles.app_a)
    assert live.databases() == {live.name, swapped.kept}
    with resolve(live.administrator).connect() as admin:
        [kept] = [copy for copy in copies(admin) if copy.service == live.name]
    assert (kept.name, kept.origin[:15]) == (swapped.kept, "in place until ")


def test_all_that_the_live_database_is_to_others_is_as_before(subject: Subject) -> None:
    name, roles = sql.Identifier(subject.name).as_string(None), subject.roles
    with subject.connect() as admin:
        admin.execute(RICH)
        open_access(admin, subject.name, bounds={roles.app_a: Bounds(statement_timeout="3s")})
    made = subject.back_up()
    with subject.connect() as admin:
        before = admin.execute(EVERYTHING).fetchall()
        admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 33; COMMENT ON DATABASE {name} IS 'it''s mine'")
        admin.execute(f"ALTER DATABASE {name} SET search_path = public, 'My Schema'")
        admin.execute(f"ALTER ROLE {roles.app_b} IN DATABASE {name} SET lock_timeout = '7s'")
        admin.execute(
            f"GRANT CONNECT ON DATABASE {name} TO pg_monitor; REVOKE TEMPORARY ON DATABASE {name} FROM {roles.app}"
        )
        admin.execute(f"ALTER ROLE {roles.app_a} IN DATABASE {name} RESET statement_timeout")
    expected = about(subject)
    over(subject, made, Rights())
    assert about(subject) == expected
    with subject.connect() as admin:
        kinds = {"setting", "database"}
        after = [row for row in admin.execute(EVERYTHING).fetchall() if row[0] not in kinds]
    assert after == [row for row in before if row[0] not in kinds]
    with resolve(subject.administrator).connect() as admin:
        query = "SELECT o.oid = d.oid FROM keelson.ownership o JOIN pg_database d ON d.datname = o.name WHERE o.service = %s AND o.kind = 'database'"
        assert admin.execute(query, [subject.name]).fetchall() == [(True,), (True,)]


def test_a_login_that_came_after_the_backup_has_its_rights(live: Subject) -> None:
    made = live.back_up()
    with live.connect() as admin:
        admin.execute(f"CREATE ROLE {live.name}_late LOGIN PASSWORD 'a password of 24 letters'")
    logins = {f"{live.name}_late": ExtraLogin(privileges=("select",))}
    try:
        with live.connect() as admin:
            open_access(admin, live.name, logins)
        over(live, made, Rights(logins))
        assert count(live, login=f"{live.name}_late") == 20_000
    finally:
        live.end()
        with resolve(live.administrator).connect() as admin:
            admin.execute(f"DROP ROLE {live.name}_late")


def test_open_connections_end_and_new_ones_wait_until_one_of_both_is_there(live: Subject) -> None:
    made = live.back_up()
    seen: list[str] = []
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            try:
                assert count(live, login=live.roles.app_a) == 20_000
            except psycopg.OperationalError as fault:
                seen.append(str(fault))

    idle = live.connect(login=live.roles.app_b)
    askers = [threading.Thread(target=keep_asking) for _ in range(3)]
    for each in askers:
        each.start()
    try:
        swapped = over(live, made)
    finally:
        done.set()
        for each in askers:
            each.join()
    with pytest.raises(psycopg.OperationalError, match="terminating connection due to administrator command"):
        idle.execute("SELECT 1")
    assert any(name.startswith(f"{live.name}_app_b") for name in swapped.ended)
    strange = [
        text
        for text in seen
        if "terminating" not in text and "closed the connection" not in text and "just been" not in text
    ]
    assert strange == []


@pytest.fixture
def timed(subject: Subject) -> Subject:
    """A service with a hypertable and a job of TimescaleDB that runs, beside one that does not."""
    subject.make("timescaledb")
    with subject.connect() as admin:
        admin.execute(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {subject.roles.app}")
        admin.execute("CREATE TABLE t (at timestamptz NOT NULL, v int)")
        admin.execute("SELECT create_hypertable('t', 'at', chunk_time_interval => interval '1 day')")
        admin.execute(
            "INSERT INTO t SELECT '2026-01-01'::timestamptz + g * interval '1 hour', g FROM generate_series(1, 500) g"
        )
        admin.execute("CREATE PROCEDURE nothing(job_id int, config jsonb) LANGUAGE sql AS ''")
        for number, scheduled in ((1000, "true"), (1001, "false")):
            admin.execute(f"""
                INSERT INTO _timescaledb_config.bgw_job (id, application_name, schedule_interval, max_runtime, max_retries, retry_period,
                    proc_schema, proc_name, owner, scheduled, fixed_schedule, initial_start)
                VALUES ({number}, 'job', '1 h', '1 h', 9, '1 h', 'public', 'nothing', current_user::regrole, {scheduled}, false, '2100-01-01')
            """)
        open_access(admin, subject.name)
    return subject


def jobs(subject: Subject, database: str = "") -> dict[int, bool]:
    with subject.connect(database) as connection:
        return dict(connection.execute("SELECT id, scheduled FROM _timescaledb_config.bgw_job ORDER BY id").fetchall())


def test_jobs_of_timescaledb_run_where_they_ran_and_nowhere_else(timed: Subject) -> None:
    before = jobs(timed)
    assert (before[1000], before[1001]) == (True, False)
    made = timed.back_up()
    kept = over(timed, made).kept
    assert jobs(timed) == before
    assert not any(jobs(timed, kept).values())
    assert all(ASLEEP not in setting for setting in about(timed)[-1])
    with timed.connect() as admin:
        admin.execute("INSERT INTO t VALUES ('2027-01-01', 1)")
        assert admin.execute("SELECT count(*) FROM show_chunks('t')").fetchone() == (22,)
    back = swap_in(timed.administrator, timed.name, kept)
    assert jobs(timed) == before
    assert not any(jobs(timed, back.kept).values())
    assert count(timed) == 500


def test_what_is_not_as_it_was_backed_up_takes_no_place(live: Subject) -> None:
    made = live.back_up()
    hashes = {**made.manifest.facts["digests"], "public.t": "4711"}
    told = refused(lambda: over(live, edited(made, digests=hashes)))
    assert "has 1 difference to its backup" in told
    assert "public.t has other rows than were backed up" in told
    assert live.databases() == {live.name}


def test_what_no_backup_brings_back_is_named(live: Subject) -> None:
    made = live.back_up()
    with live.connect() as admin:
        admin.execute("CREATE PUBLICATION news FOR TABLE t")
    assert "has the publication news, which no restore brings back" in refused(lambda: over(live, made))
    assert live.databases() == {live.name}


def test_only_a_complete_copy_of_the_service_takes_its_place(live: Subject) -> None:
    for name in (live.name, "postgres", "nowhere"):
        told = refused(lambda name=name: swap_in(live.administrator, live.name, name))
        assert f"{name} is no complete copy of {live.name}" in told


PROGRAM = """
import os, signal, sys
from pathlib import Path
from keelson.backups import swapping
from keelson.backups.engines import Destination
from keelson.backups.store import Backup
from keelson.endpoint import Reference
service, backup, function, after = sys.argv[1], Backup(Path(sys.argv[2])), sys.argv[3], int(sys.argv[4])
real, calls = getattr(swapping, function), []
def last(*arguments):
    if len(calls) == after:
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(arguments)
    return real(*arguments)
setattr(swapping, function, last)
reference = Reference(stack="backups-dev", target="local", server="main", database=swapping.copy_name(service, backup))
swapping.restore_over(backup, Destination(service, reference))
"""
MOMENTS = [
    ("swap_in", 0, 100),
    ("_run", 1, 100),
    ("_close", 0, 100),
    ("finish", 0, 500),
    ("doze", 0, 500),
    ("_wake", 0, 500),
]


@pytest.fixture
def behind(timed: Subject) -> tuple[Subject, Backup]:
    """The service with a backup of 500 rows, of which 100 are left."""
    made = timed.back_up()
    with timed.connect() as admin:
        admin.execute("DELETE FROM t WHERE v > 100")
    return timed, made


@pytest.mark.parametrize(("function", "after", "rows"), MOMENTS)
def test_a_kill_leaves_the_old_or_the_new_one_and_the_next_run_finishes(
    behind: tuple[Subject, Backup], function: str, after: int, rows: int
) -> None:
    live, made = behind
    before = jobs(live)
    command = [sys.executable, "-c", PROGRAM, live.name, str(made.path), function, str(after)]
    done = subprocess.run(command, env=dict(os.environ), stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: not _others(live), "the server has let go of what the killed one did", 20)
    assert count(live, login=live.roles.app_a if rows == 100 else "") == rows
    finish(live.administrator, live.name)
    if rows == 100:
        over(live, made)
    assert count(live) == 500
    assert jobs(live) == before
    [kept] = live.databases() - {live.name}
    assert not any(jobs(live, kept).values())
    assert count(live, kept) == 100


def _others(subject: Subject) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keelson restore'"
    with resolve(subject.administrator).connect() as admin:
        row = admin.execute(query).fetchone()
    return int(row[0]) if row else 0
