"""Restores of real databases into copies: all of it comes back, or nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from keelson.backups import manifest as manifests
from keelson.backups.copies import copies, discard_copy, sweep
from keelson.backups.making import restore
from keelson.backups.store import Backup
from keelson.endpoint import resolve
from keelson.errors import BackupError, KeelsonError, LockError
from keelson.postgres.databases import open_access
from tests.backups.conftest import Subject
from tests.stack.harness import wait_until

RICH = """
CREATE SCHEMA "My Schema";
CREATE TABLE "My Schema"."Order; Lines" (id bigint GENERATED ALWAYS AS IDENTITY (START 100), "Net %" numeric NOT NULL,
    gross numeric GENERATED ALWAYS AS ("Net %" * 1.19) STORED, note text DEFAULT 'a ''quoted'' text');
INSERT INTO "My Schema"."Order; Lines" ("Net %", note) SELECT g, E'line\\nbreak \\\\. tab\\t' || g FROM generate_series(1, 500) g;
COMMENT ON TABLE "My Schema"."Order; Lines" IS E'-- it''s a comment\\nCOPY public.x (a) FROM stdin;';
COMMENT ON COLUMN "My Schema"."Order; Lines"."Net %" IS 'without tax';
CREATE TABLE parted (at date, v int) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
INSERT INTO parted SELECT '2026-01-01'::date + g, g FROM generate_series(0, 364) g;
CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (3, 3);
CREATE TABLE tenants (id int PRIMARY KEY, owner text);
INSERT INTO tenants SELECT g, 'tenant ' || g FROM generate_series(1, 50) g;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (owner = current_setting('app.tenant', true));
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n, sum("Net %") AS net FROM "My Schema"."Order; Lines";
CREATE VIEW openness AS SELECT * FROM tenants;
CREATE SEQUENCE counter START 7; SELECT nextval('counter'), nextval('counter');
CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS a;
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE FUNCTION misleading() RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
    RETURN '
COPY public.tenants (id) FROM stdin;
1
\\.
';
END $f$;
CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE DEBUG ''ddl''; END';
CREATE EVENT TRIGGER on_ddl ON ddl_command_start EXECUTE FUNCTION note_ddl();
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no restore fires me''; END';
CREATE TRIGGER stamps BEFORE INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TYPE mood AS ENUM ('well', 'ill'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE moods (m mood, p positive, j jsonb, b bytea, a int[], r int4range, f float8);
INSERT INTO moods VALUES ('well', 1, '{"a": "\\u00e9"}', '\\xdeadbeef', '{1,NULL}', '[1,5)', 'NaN'), (NULL, NULL, NULL, NULL, NULL, NULL, '-Infinity');
SELECT lo_from_bytea(4711, repeat('large ', 10000)::bytea), lo_create(4712), lo_put(lo_create(4713), 0, 'small');
COMMENT ON LARGE OBJECT 4711 IS 'a large one';
"""
EVERYTHING = """
SELECT 'relation', c.oid::regclass::text, c.relkind::text, c.relrowsecurity::text, c.relforcerowsecurity::text, r.rolname, c.relacl::text, obj_description(c.oid, 'pg_class')
FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'My Schema')
UNION ALL SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull::text, attgenerated::text, attidentity::text, col_description(attrelid, attnum)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'My Schema') AND NOT attisdropped
UNION ALL SELECT 'sequence', schemaname || sequencename, last_value::text, start_value::text, '', '', '', '' FROM pg_sequences
UNION ALL SELECT 'policy', tablename, policyname, qual, '', '', '', '' FROM pg_policies
UNION ALL SELECT 'event trigger', evtname, evtevent, evtfoid::regproc::text, '', '', '', '' FROM pg_event_trigger
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, '', '', '', '', '' FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', oid::regprocedure::text, md5(prosrc), proacl::text, '', '', '', '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'large object', m.oid::text, md5(lo_get(m.oid)), obj_description(m.oid, 'pg_largeobject'), '', '', '', '' FROM pg_largeobject_metadata m
UNION ALL SELECT 'defaults', defaclrole::regrole::text, defaclobjtype::text, defaclacl::text, '', '', '', '' FROM pg_default_acl
UNION ALL SELECT 'schema', nspname, nspowner::regrole::text, nspacl::text, '', '', '', '' FROM pg_namespace WHERE nspname IN ('public', 'My Schema')
UNION ALL SELECT 'setting', s.setrole::regrole::text, array_to_string(s.setconfig, ';'), '', '', '', '', '' FROM pg_db_role_setting s
JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
UNION ALL SELECT 'database', datcollate, datctype, datlocprovider::text, datlocale, encoding::text, datdba::regrole::text, '' FROM pg_database WHERE datname = current_database()
ORDER BY 1, 2, 3
"""


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(KeelsonError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def digests(connection: psycopg.Connection) -> dict[str, str]:
    """A digest of the rows of each table and materialized view."""
    query = """
        SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^(pg_|information_schema|_timescaledb_(cat|con|cac))'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    """
    names = [row[0] for row in connection.execute(query).fetchall()]
    text = "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM {} t"
    return {name: connection.execute(text.format(name)).fetchone()[0] for name in names}


@pytest.fixture
def rich(subject: Subject) -> Subject:
    with subject.connect() as admin:
        admin.execute(
            f"SET ROLE {subject.roles.owner}; CREATE TABLE owned (a int); INSERT INTO owned VALUES (1); RESET ROLE"
        )
        admin.execute(RICH)
        admin.execute(f"ALTER DATABASE {subject.name} SET search_path = '$user', public, 'My Schema'")
        admin.execute(f"ALTER DATABASE {subject.name} SET work_mem = '7MB'")
        admin.execute(f"ALTER ROLE {subject.roles.app} IN DATABASE {subject.name} SET statement_timeout = '3s'")
        admin.execute(f"GRANT SELECT (id) ON tenants TO {subject.roles.readonly}")
        open_access(admin, subject.name)
    return subject


@pytest.mark.usefixtures("streams")
def test_all_that_a_database_holds_is_in_its_copy(rich: Subject) -> None:
    made = rich.back_up()
    copy = rich.restore(made)
    with rich.connect() as before, rich.connect(copy.reference.database) as after:
        assert after.execute(EVERYTHING).fetchall() == before.execute(EVERYTHING).fetchall()
        assert digests(after) == digests(before)
        assert after.execute("SELECT n FROM totals").fetchone() == (500,)
    counts = made.manifest.counts
    assert counts['"My Schema"."Order; Lines"'] == 500
    assert (counts["public.parent"], counts["public.child"], counts["public.parted_1"]) == (2, 1, 181)
    assert (counts["public.no_columns"], counts["large objects"], counts["public.tenants"]) == (2, 3, 50)


def test_a_copy_is_closed_to_the_application_and_stands_in_the_list(rich: Subject) -> None:
    made = rich.back_up()
    name = rich.restore(made).reference.database
    for login in (rich.roles.app_a, rich.roles.readonly_a, rich.roles.migrator):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            rich.connect(name, login)
    rich.connect(rich.name, rich.roles.app_a).close()
    with resolve(rich.administrator).connect() as admin:
        [copy] = [copy for copy in copies(admin) if copy.service == rich.name]
    assert (copy.name, copy.origin) == (name, f"backup {made.id}")
    discard_copy(rich.administrator, rich.name, name)
    assert rich.databases() == {rich.name}
    assert f"{name} is no copy of {rich.name}" in refused(lambda: discard_copy(rich.administrator, rich.name, name))


def test_discarding_takes_nothing_but_a_copy_of_this_service(filled: Subject) -> None:
    filled.restore(filled.back_up())
    for name in (filled.name, "postgres", "template1", "nowhere"):
        assert "so it stays; its copies are: " in refused(
            lambda name=name: discard_copy(filled.administrator, filled.name, name)
        )
    assert filled.databases() == {filled.name, f"{filled.name}_copy"}
    told = refused(lambda: discard_copy(filled.administrator, "other", f"{filled.name}_copy"))
    assert "is no copy of other" in told


@pytest.mark.parametrize("name", ["Upper", "a b", "postgres", "template1", "pg_x", "select", 'a"; DROP DATABASE x', ""])
def test_a_name_that_is_not_allowed_is_refused(filled: Subject, name: str) -> None:
    made = filled.back_up()
    destination = replace(filled.copy(), reference=replace(filled.reference, database=name))
    assert "not allowed" in refused(lambda: restore(made, destination))


def test_what_exists_is_never_restored_over(filled: Subject) -> None:
    made = filled.back_up()
    assert "there is a database" in refused(lambda: filled.restore(made, filled.name))
    filled.restore(made)
    told = refused(lambda: filled.restore(made))
    assert f"drop a copy with `keelson restore {filled.name} --discard {filled.name}_copy`" in told
    with filled.connect(f"{filled.name}_copy") as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (20_000,)


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("damage", ["flipped byte", "half"])
def test_a_damaged_backup_leaves_no_database(filled: Subject, damage: str) -> None:
    made = filled.back_up()
    path = made.path / "data.dump"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data[: len(data) // 2] if damage == "half" else data)
    assert f"{path} is damaged" in refused(lambda: filled.restore(made))
    assert filled.databases() == {filled.name}
    assert made.fault


@pytest.mark.usefixtures("split")
def test_the_rows_of_a_large_database_come_in_two_streams(filled: Subject) -> None:
    """Each waits in the check of a row until it sees the other write, too."""
    with filled.connect() as admin:
        admin.execute("""
            DROP TABLE t;
            CREATE FUNCTION together() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
                IF current_database() NOT LIKE '%copy' THEN RETURN true; END IF;
                PERFORM pg_advisory_lock_shared(4711);
                FOR tenth IN 1 .. 600 LOOP
                    IF (SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711) THEN
                        PERFORM pg_advisory_lock_shared(4712);  -- says that this one has seen the other
                        WHILE (SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712)
                            AND (SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711) LOOP
                            PERFORM pg_sleep(0.1);
                        END LOOP;
                        RETURN true;
                    END IF;
                    PERFORM pg_sleep(0.1);
                END LOOP;
                RETURN false;
            END $$
        """)
        for name in ("first", "second"):
            admin.execute(f"CREATE TABLE {name} (a int CHECK (public.together()))")
            admin.execute(f"INSERT INTO {name} VALUES (1)")
    assert filled.restore(filled.back_up())


@pytest.mark.usefixtures("streams")
def test_a_restore_that_fails_leaves_no_database_and_no_trace(filled: Subject) -> None:
    with filled.connect() as admin:
        admin.execute(
            "CREATE FUNCTION here() RETURNS bool LANGUAGE sql AS $$ SELECT current_database() NOT LIKE '%copy' $$"
        )
        admin.execute("CREATE TABLE picky (a int CHECK (public.here())); INSERT INTO picky VALUES (1)")
    told = refused(lambda: filled.restore(filled.back_up()))
    assert f"the restore into {filled.name}_copy failed: pg_restore: error:" in told
    assert filled.databases() == {filled.name}
    with resolve(filled.administrator).connect() as admin:
        assert admin.execute(
            "SELECT count(*) FROM keelson.ownership WHERE name LIKE %s", [f"{filled.name}_copy"]
        ).fetchone() == (0,)


def test_a_copy_with_other_rows_than_the_manifest_says_is_dropped(filled: Subject) -> None:
    made = filled.back_up()
    again = edited(made, counts={"public.t": 19_999})
    told = refused(lambda: filled.restore(again))
    assert "public.t has 20000 in place of 19999" in told
    assert filled.databases() == {filled.name}


def edited(backup: Backup, *, counts: dict[str, int] | None = None, **facts: object) -> Backup:
    """The backup with another manifest, as somebody would write who knows how."""
    manifest = backup.manifest
    (backup.path / "manifest.json").unlink()
    changed = replace(manifest, counts=counts or manifest.counts, facts=manifest.facts | facts)
    manifests.write(backup.path, changed)
    return Backup(backup.path)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"extensions": {"timescaledb": "2.99.0"}},
            "needs the extension timescaledb 2.99.0, and the server has only 2.",
        ),
        ({"extensions": {"postgis": "3.5"}}, "needs the extension postgis 3.5, and the server lacks it"),
        ({"timescaledb_edition": "community"}, "Community edition, and the server has the Apache edition"),
        ({"server_version_num": 180_001}, "of PostgreSQL 18 and the server has 17"),
        (
            {"roles": ["nobody_here", "nor_this"]},
            "roles that the server lacks: nobody_here, nor_this; restore with --with-roles",
        ),
    ],
)
def test_what_the_server_lacks_is_named_before_anything_is_made(
    filled: Subject, facts: dict[str, object], said: str
) -> None:
    again = edited(filled.back_up(), **facts)
    told = refused(lambda: filled.restore(again))
    assert said in told
    assert filled.databases() == {filled.name}


def test_a_backup_of_another_database_is_refused(filled: Subject) -> None:
    made = filled.back_up()
    destination = replace(filled.copy(), service="other")
    assert f"is a backup of {filled.name}, not of other" in refused(lambda: restore(made, destination))


@pytest.mark.usefixtures("streams")
def test_hypertables_come_back_with_their_chunks_and_no_job_runs(subject: Subject) -> None:
    subject.make("timescaledb")
    with subject.connect() as admin:
        admin.execute(f"SET ROLE {subject.roles.owner}")
        admin.execute("CREATE TABLE prices (at timestamptz NOT NULL, symbol text, price float8)")
        admin.execute("SELECT create_hypertable('prices', 'at', chunk_time_interval => interval '1 day')")
        admin.execute(
            "INSERT INTO prices SELECT '2026-01-01'::timestamptz + g * interval '1 hour', 'A', g FROM generate_series(1, 500) g"
        )
        admin.execute("CREATE INDEX ON prices (symbol, at DESC); RESET ROLE")
        admin.execute("CREATE PROCEDURE nothing(job_id int, config jsonb) LANGUAGE sql AS ''")
        admin.execute("""
            INSERT INTO _timescaledb_config.bgw_job (id, application_name, schedule_interval, max_runtime, max_retries, retry_period,
                proc_schema, proc_name, owner, scheduled, fixed_schedule, initial_start)
            VALUES (1000, 'job', '1 h', '1 h', 9, '1 h', 'public', 'nothing', current_user::regrole, true, false, '2100-01-01')
        """)
    made = subject.back_up()
    assert len([name for name in made.manifest.counts if "_hyper_" in name]) == 21
    assert made.manifest.counts["public.prices"] == 0
    assert made.manifest.facts["timescaledb_edition"] == "apache"
    copy = subject.restore(made)
    with subject.connect() as before, subject.connect(copy.reference.database) as after:
        assert digests(after) == digests(before)
        assert after.execute("SELECT count(*), max(price) FROM prices").fetchone() == (500, 500.0)
        assert after.execute("SELECT count(*) FROM show_chunks('prices')").fetchone() == (21,)
        after.execute("INSERT INTO prices VALUES ('2027-01-01', 'B', 1)")
        assert after.execute("SELECT count(*) FROM show_chunks('prices')").fetchone() == (22,)
        assert after.execute("SELECT bool_or(scheduled) FROM _timescaledb_config.bgw_job").fetchone() == (False,)
        assert after.execute("SHOW timescaledb.restoring").fetchone() == ("off",)
        assert before.execute("SELECT scheduled FROM _timescaledb_config.bgw_job WHERE id = 1000").fetchone() == (True,)


PROGRAM = """
import sys
from pathlib import Path
from keelson.backups.engines import Destination
from keelson.backups.making import restore
from keelson.backups.store import Backup
from keelson.endpoint import Reference
reference = Reference(stack="backups-dev", target="local", server="main", database=sys.argv[1] + "_copy")
restore(Backup(Path(sys.argv[2])), Destination(sys.argv[1], reference))
"""


PATIENCE = """
CREATE FUNCTION patience() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    IF current_database() LIKE '%copy' THEN PERFORM pg_sleep(120); END IF; RETURN 1; END $$
"""


@pytest.fixture
def slow(filled: Subject) -> Subject:
    """A database whose restore takes two minutes."""
    with filled.connect() as admin:
        admin.execute(PATIENCE)
        admin.execute("CREATE MATERIALIZED VIEW waiting AS SELECT public.patience() AS a")
    return filled


@contextmanager
def begun(subject: Subject, backup: Backup) -> Iterator[subprocess.Popen[str]]:
    """A restore in a process of its own that has come to the materialized view."""
    command = [sys.executable, "-c", PROGRAM, subject.name, str(backup.path)]
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: _sleeping(subject) or process.poll() is not None, "the restore is half done", 30)
            assert process.poll() is None, process.communicate()
            yield process
        finally:
            process.kill()


def _sleeping(subject: Subject) -> int:
    with resolve(subject.administrator).connect() as admin:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
        return admin.execute(query, [f"{subject.name}_copy"]).fetchone()[0]


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_restore_leaves_no_database(slow: Subject, kind: signal.Signals) -> None:
    made = slow.back_up()
    with begun(slow, made) as process:
        process.send_signal(kind)
        process.communicate(timeout=20)
    if kind is signal.SIGTERM:  # a command turns it into an exception; a program that does not is killed
        wait_until(lambda: not _sleeping(slow), "the server has ended what nobody waits for", 10)
        slow_copy_is_swept(slow)
    assert slow.databases() == {slow.name}


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_restore_waits_for_no_row_of_its_streams(filled: Subject, kind: signal.Signals) -> None:
    with filled.connect() as admin:
        admin.execute(PATIENCE)
        admin.execute("CREATE TABLE patient (a int CHECK (public.patience() = a)); INSERT INTO patient VALUES (1)")
    made = filled.back_up()
    with begun(filled, made) as process:
        process.send_signal(kind)
        process.communicate(timeout=20)
    if kind is signal.SIGTERM:
        wait_until(lambda: not _sleeping(filled), "the server has ended what nobody waits for", 10)
        with resolve(filled.administrator).connect() as admin:
            sweep(admin, filled.stack_id)
    assert filled.databases() == {filled.name}


def test_what_a_killed_restore_left_is_no_copy_and_goes_with_the_next_one(slow: Subject) -> None:
    made = slow.back_up()
    with begun(slow, made) as process:
        with pytest.raises((BackupError, LockError), match="copy"):
            slow.restore(made)
        with pytest.raises(LockError, match="the lock on the copy"):
            discard_copy(slow.administrator, slow.name, f"{slow.name}_copy")
        process.kill()
        process.wait()
    with resolve(slow.administrator).connect() as admin:
        assert [copy for copy in copies(admin) if copy.service == slow.name] == []
    slow_copy_is_swept(slow)
    assert slow.databases() == {slow.name}


def slow_copy_is_swept(slow: Subject) -> None:
    """Restore another, quick backup, and drop its copy."""
    with slow.connect() as admin:
        admin.execute("DROP MATERIALIZED VIEW waiting")
    made = slow.back_up()
    wait_until(lambda: not _sleeping(slow), "the server has ended what nobody waits for", 10)
    name = slow.restore(made, f"{slow.name}_other").reference.database
    assert slow.databases() == {slow.name, name}
    discard_copy(slow.administrator, slow.name, name)


def test_a_backup_that_is_restored_cannot_be_removed_meanwhile(slow: Subject) -> None:
    made = slow.back_up()
    with begun(slow, made):
        assert not made.remove()
    assert made.remove()


def test_a_script_runs_before_the_copy_is_complete_and_what_it_replaced_is_in_no_file(filled: Subject) -> None:
    with filled.connect() as admin:
        admin.execute(
            "CREATE TABLE people (id int, email text); INSERT INTO people VALUES (1, 'erika.mustermann@example.net')"
        )
        admin.execute("ALTER TABLE people ENABLE ROW LEVEL SECURITY; ALTER TABLE people FORCE ROW LEVEL SECURITY")
        admin.execute(f"ALTER TABLE people OWNER TO {filled.roles.owner}")
    script = "UPDATE people SET email = id || '@example.org'; -- all\nDELETE FROM t;"
    destination = replace(filled.copy(), script=script)
    restore(filled.back_up(), destination)
    with filled.connect(destination.reference.database) as copy:
        assert copy.execute("SELECT email, (SELECT count(*) FROM t) FROM people").fetchall() == [("1@example.org", 0)]
        page = copy.execute("SELECT pg_read_binary_file(pg_relation_filepath('people'))").fetchone()
        assert page
        assert b"mustermann" not in bytes(page[0])


@pytest.mark.parametrize(
    "script", ["UPDATE nowhere SET a = 1", "DELETE FROM t; COMMIT; SELECT 1/0", "\\echo psql", "SELECT 1/0"]
)
def test_a_script_that_fails_leaves_no_copy(filled: Subject, script: str) -> None:
    made = filled.back_up()
    told = refused(lambda: restore(made, replace(filled.copy(), script=script)))
    assert "of which nothing is kept" in told
    assert filled.databases() == {filled.name}
