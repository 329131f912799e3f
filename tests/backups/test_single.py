"""One table of a backup beside the live one."""

from __future__ import annotations

import pytest

from keelson.backups.single import Single, restore_table
from keelson.backups.store import Backup
from keelson.backups.swapping import copy_name
from tests.backups.conftest import Subject
from tests.backups.test_restoring import refused


@pytest.fixture
def listed(subject: Subject) -> Subject:
    """A service with tables of its owner."""
    with subject.connect() as admin:
        admin.execute(f"SET ROLE {subject.roles.owner}")
        admin.execute("CREATE SCHEMA \"My Schema\"; CREATE TYPE \"My Schema\".mood AS ENUM ('well', 'ill')")
        admin.execute("""
            CREATE TABLE "My Schema".lists (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Net %" numeric(8, 2), m "My Schema".mood,
                gross numeric GENERATED ALWAYS AS ("Net %" * 2) STORED, words text[], made timestamptz DEFAULT now())
        """)
        admin.execute("""
            INSERT INTO "My Schema".lists ("Net %", m, words) SELECT g, 'well', ARRAY['a,"b', E'line\\nbreak', NULL] FROM generate_series(1, 50) g
        """)
    return subject


def one(subject: Subject, backup: Backup, table: str, into: str | None = None) -> Single:
    return restore_table(backup, subject.copy(copy_name(subject.name, backup)), table, into)


def test_a_table_comes_back_under_another_name_and_its_statement_takes_lost_rows_over(listed: Subject) -> None:
    made = listed.back_up()
    table = '"My Schema".lists'
    with listed.connect() as admin:
        before = admin.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
        admin.execute(f"DELETE FROM {table} WHERE id > 10; UPDATE {table} SET words = NULL WHERE id = 1")
        done = one(listed, made, table)
        assert (done.rows, done.table) == (50, f'"restored"."lists_{made.id.lower()}"')
        assert admin.execute(f"SELECT count(*) FROM {table}").fetchone() == (10,)
        assert admin.execute(f"SELECT * FROM {done.table} ORDER BY id").fetchall() == before
        admin.execute(done.statement.encode())
        after = admin.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
        assert (after[0][4], after[1:]) == (None, before[1:])
        owner = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'restored'"
        assert admin.execute(owner).fetchall() == [(listed.roles.owner,)]
    assert listed.databases() == {listed.name}


def test_nothing_is_restored_over_and_what_is_not_there_is_named(listed: Subject) -> None:
    made = listed.back_up()
    table = '"My Schema".lists'
    assert "there is a My Schema.lists in the database already" in refused(lambda: one(listed, made, table, table))
    assert "names no table" in refused(lambda: one(listed, made, table, "a.b.c"))
    assert f"the backup {made.id} has no table nowhere" in refused(lambda: one(listed, made, "nowhere"))
    assert "has no table a b" in refused(lambda: one(listed, made, "a b"))
    assert one(listed, made, table, "public.lists_then").table == '"public"."lists_then"'
    with listed.connect() as admin:
        admin.execute(f'DROP TABLE {table}, lists_then; DROP TYPE "My Schema".mood')
        assert "cannot be made in" in refused(lambda: one(listed, made, table, "public.again"))
        assert admin.execute("SELECT to_regclass('public.again')").fetchone() == (None,)
    assert listed.databases() == {listed.name}
