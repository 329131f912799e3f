"""Every migration can be undone and done again, and prod's data is what it should be."""

from __future__ import annotations

import itertools

import pytest

from tests.sql import facts, project

SNAPSHOT = """
    WITH namespaces AS (
        SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|_?timescaledb|keelson$)'
    ),
    relations AS (
        SELECT c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity, ARRAY(
            SELECT granted FROM unnest(c.relacl::text[]) AS granted WHERE starts_with(granted, current_database() || '_')
        ) AS relacl
        FROM pg_class AS c
        JOIN namespaces ON namespaces.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'v', 'S')
          AND c.relname <> ALL (ARRAY['schema_versions', 'schema_seeds', 'schema_steps', 'schema_history'])
          AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
    )
    SELECT 'schema ' || nspname FROM namespaces WHERE nspname <> 'public'
    UNION ALL
    SELECT format('relation %s %s %s %s %s', oid::regclass, relkind, relrowsecurity, relforcerowsecurity, relacl) FROM relations
    UNION ALL
    SELECT format('column %s.%s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attacl)
    FROM pg_attribute WHERE attrelid IN (SELECT oid FROM relations) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('index %s', pg_get_indexdef(indexrelid)) FROM pg_index WHERE indrelid IN (SELECT oid FROM relations)
    UNION ALL
    SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid IN (SELECT oid FROM relations)
    UNION ALL
    SELECT format('trigger %s', pg_get_triggerdef(oid))
    FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM relations) AND NOT tgisinternal AND tgname !~ '^ts_'
    UNION ALL
    SELECT format('policy %s %s %s %s', polrelid::regclass, polname, polroles::regrole[], pg_get_expr(polqual, polrelid)) FROM pg_policy
    UNION ALL
    SELECT format('function %s %s', p.oid::regprocedure, p.proacl)
    FROM pg_proc AS p
    JOIN namespaces ON namespaces.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    ORDER BY 1
"""


def snapshot(connection, database):
    """The catalog of a database as lines, without the aggregates that come from timescale.yaml."""
    aggregates = [view.removeprefix("public.") for owner, view, _ in facts.AGGREGATES if owner == database]
    return [line for (line,) in connection.execute(SNAPSHOT) if not any(view in line for view in aggregates)]


@pytest.mark.parametrize("database", project.DATABASES)
def test_down_takes_everything_away_and_up_brings_it_back(acting, database):
    with acting(database, "owner") as connection:
        before = snapshot(connection, database)
        for migration in reversed(project.migrations(database)):
            project.run(connection, project.undo_of(migration))
        left = snapshot(connection, database)
        for migration in project.migrations(database):
            project.run(connection, migration)
        assert left == []
        assert snapshot(connection, database) == before


@pytest.mark.parametrize("database", project.DATABASES)
def test_each_migration_alone_can_be_undone_and_done_again(acting, database):
    with acting(database, "owner") as connection:
        done = project.migrations(database)
        states = [snapshot(connection, database)]
        for migration in reversed(done):
            project.run(connection, project.undo_of(migration))
            states.append(snapshot(connection, database))
        for migration, (after, before) in zip(done, reversed([*itertools.pairwise(states)]), strict=True):
            assert snapshot(connection, database) == before
            project.run(connection, migration)
            assert snapshot(connection, database) == after
            project.run(connection, project.undo_of(migration))
            assert snapshot(connection, database) == before
            project.run(connection, migration)


@pytest.mark.parametrize("database", ["auth", "portfolio", "signals", "timeseries", "trading"])
def test_production_starts_without_users_and_their_data(acting, database):
    with acting(database, "owner") as connection:
        for migration in reversed(project.migrations(database)):
            project.run(connection, project.undo_of(migration))
        for path in [*project.migrations(database), *project.seeds(database, "prod")]:
            project.run(connection, path)
        filled = {table for table, rows in project.row_counts(connection).items() if rows}
        assert filled <= {"public.benchmarks", "public.instruments"}
