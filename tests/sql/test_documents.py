"""The databases hold what was promised: schemas, tables, columns, indexes, constraints, hypertables, logins."""

from __future__ import annotations

import pytest

from tests.sql import facts, project

COLUMNS_OF = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute AS a
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""


def each(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(database, name) for database, names in table.items() for name in names]


def test_there_are_the_ten_databases():
    assert sorted(facts.TABLES) == project.DATABASES


@pytest.mark.parametrize(("database", "schema"), each(facts.SCHEMAS))
def test_schema_exists(connection, schema):
    assert connection.execute("SELECT to_regnamespace(%s)", [schema]).fetchone()[0]


@pytest.mark.parametrize(("database", "table"), each(facts.TABLES))
def test_table_exists_and_says_what_it_is_for(connection, table):
    kind, comment = connection.execute(
        "SELECT relkind, obj_description(oid, 'pg_class') FROM pg_class WHERE oid = to_regclass(%s)",
        [table],
    ).fetchone()
    assert kind == "r"
    assert comment


@pytest.mark.parametrize("database", facts.EXACTLY_THESE_TABLES)
def test_no_other_table_exists(connection, database):
    assert project.tables(connection) == sorted(facts.TABLES[database])


@pytest.mark.parametrize(("database", "name"), each(facts.MIGRATIONS))
def test_migration_has_its_name(database, name):
    assert name in [path.name for path in project.migrations(database)]


@pytest.mark.parametrize(("database", "table"), facts.COLUMNS)
def test_columns_are_exactly_these(connection, database, table):
    rows = connection.execute(COLUMNS_OF, [table]).fetchall()
    found = [
        f"{name} {kind}{' NOT NULL' * required}{f' DEFAULT {default}' * bool(default)}"
        for name, kind, required, default in rows
    ]
    assert found == [line.strip() for line in facts.COLUMNS[database, table].strip().splitlines()]


@pytest.mark.parametrize(("database", "index", "on"), facts.INDEXES)
def test_index_is_as_named(connection, index, on):
    definition = connection.execute("SELECT pg_get_indexdef(to_regclass(%s))", [index]).fetchone()[0]
    assert definition.endswith(f" ON {on}")


@pytest.mark.parametrize(("database", "table", "name", "definition"), facts.CONSTRAINTS)
def test_constraint_is_as_named(connection, table, name, definition):
    row = connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s",
        [table, name],
    ).fetchone()
    assert row == (definition,)


@pytest.mark.parametrize(("database", "table", "dimension", "days"), facts.HYPERTABLES)
def test_hypertable_has_chunks_of_days(connection, table, dimension, days):
    row = connection.execute(
        "SELECT column_name, extract(day FROM time_interval)::int FROM timescaledb_information.dimensions "
        "WHERE format('%%I.%%I', hypertable_schema, hypertable_name) = %s",
        [table],
    ).fetchone()
    assert row == (dimension, days)


@pytest.mark.parametrize(("database", "view", "columns"), facts.AGGREGATES)
def test_aggregate_has_its_columns_and_rows(connection, view, columns):
    assert [name for name, *_ in connection.execute(COLUMNS_OF, [view])] == columns
    assert connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0] > 0


@pytest.mark.parametrize(("database", "login", "table", "granted", "refused"), facts.LOGINS)
def test_login_may_do_what_it_is_for_and_no_more(connection, login, table, granted, refused):
    assert connection.execute("SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = %s", [login]).fetchone() == (
        True,
        False,
    )
    for privilege in f"{granted} {refused}".split():
        held = connection.execute("SELECT has_table_privilege(%s, %s, %s)", [login, table, privilege]).fetchone()[0]
        assert held == (privilege in granted.split()), privilege


@pytest.mark.parametrize(("database", "table", "refused"), facts.NARROWED)
def test_what_is_only_added_to_cannot_be_changed_by_the_application(connection, database, table, refused):
    app = f"{database}_app"
    for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        held = connection.execute("SELECT has_table_privilege(%s, %s, %s)", [app, table, privilege]).fetchone()[0]
        assert held == (privilege not in refused.split()), privilege


@pytest.mark.parametrize("database", project.DATABASES)
def test_every_foreign_key_has_an_index_that_begins_with_it(connection):
    missing = connection.execute("""
        SELECT conrelid::regclass, conname
        FROM pg_constraint AS c
        JOIN pg_namespace AS n ON n.oid = c.connamespace
        WHERE contype = 'f'
          AND nspname !~ '^_timescaledb'
          AND NOT EXISTS (
              SELECT FROM pg_index WHERE indrelid = conrelid AND (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey
          )
    """).fetchall()
    assert missing == []


@pytest.mark.parametrize("database", project.DATABASES)
def test_every_updated_at_is_kept_by_a_trigger(connection):
    missing = connection.execute("""
        SELECT c.oid::regclass
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'updated_at'
        WHERE c.relkind = 'r'
          AND nspname !~ '^(pg_|_timescaledb|information_schema$|keelson$)'
          AND c.relname NOT IN ('ohlcv_archive', 'schema_versions', 'schema_seeds', 'schema_steps', 'schema_history')
          AND NOT EXISTS (SELECT FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid WHERE tgrelid = c.oid AND proname = 'set_updated_at')
    """).fetchall()
    assert missing == []
