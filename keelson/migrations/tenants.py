"""Whether policies keep the rows of one user from another, tried as the application in a database that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from keelson.postgres import possessions
from keelson.postgres.belonging import Belonging
from keelson.postgres.names import RoleNames
from keelson.postgres.possessions import table_identifier

SETTING = "app.current_user_id"
TENANTS_TRIED = 2

_SECURED = "SELECT relrowsecurity, relforcerowsecurity FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)"
_UNNAMED = """
    SELECT a.attrelid::regclass::text, a.attname
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$|_?timescaledb|keelson$)' AND a.attnum > 0
      AND a.attname = ANY (%s) AND n.nspname || '.' || c.relname <> ALL (%s)
    ORDER BY 1
"""
_VIEWS = """
    SELECT DISTINCT v.oid::regclass::text, t.oid::regclass::text
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
    JOIN pg_catalog.pg_class t ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
    WHERE n.nspname || '.' || t.relname = ANY (%s) AND has_any_column_privilege(%s, v.oid, 'SELECT')
      AND NOT (v.relkind = 'v' AND coalesce(v.reloptions::text[] && '{security_invoker=true,security_invoker=on,security_invoker=1}', false))
    ORDER BY 1, 2
"""


def faults(admin: psycopg.Connection, service: str, tenants: Belonging) -> Iterator[str]:
    """Yield a sentence for each way in which a user's rows are open to another; nothing that is tried stays.

    Args:
        admin: The administrator's connection to the database, which holds rows of some users.
        service: Whose application it is.
        tenants: Whose the rows are.
    """
    app = RoleNames(service).app
    named = list(tenants)
    columns = {column for _, column in tenants.holders() if column != "id"}
    for table, column in admin.execute(_UNNAMED, [list(columns), named]).fetchall():
        yield f"{table} has a column {column} and is not named: name it, and give it policies"
    for view, table in admin.execute(_VIEWS, [named, app]).fetchall():
        yield f"{view} reads {table} as its owner, not as who asks: make it a view WITH (security_invoker = true)"
    for table in named:
        yield from _of_table(admin, app, tenants, table)


def _of_table(admin: psycopg.Connection, app: str, tenants: Belonging, table: str) -> Iterator[str]:
    row = admin.execute(_SECURED, [table]).fetchone()
    if row is None:
        yield f"{table} does not exist: take it out"
    elif row != (True, True):
        lacking = "FORCE ROW LEVEL SECURITY" if row[0] else "ENABLE ROW LEVEL SECURITY"
        yield f"{table} lacks row security that its owner is held to: ALTER TABLE {table} {lacking}"
    else:
        total = _rows(admin, table)
        with _acting(admin, app, ""):
            if seen := _seen(admin, table):
                yield f"{table} shows {seen} of {total} rows where nobody's are asked for ({SETTING} is empty)"
        known = possessions.persons(tenants, admin)
        some = [each for each in known if possessions.count(tenants, admin, table, each)][:TENANTS_TRIED]
        for person, other in zip(some, reversed(some), strict=True):
            yield from _of_person(admin, app, tenants, table, person, other)


def _of_person(  # noqa: PLR0913, PLR0917 - of whom, where, and who else there is
    admin: psycopg.Connection, app: str, tenants: Belonging, table: str, person: str, other: str
) -> Iterator[str]:
    own, total = possessions.count(tenants, admin, table, person), _rows(admin, table)
    with _acting(admin, app, person):
        if (seen := _seen(admin, table)) not in {own, None}:
            yield f"{table} shows {seen} rows to {person}, whose are {own}"
    with _acting(admin, app, person):
        try:
            gone = admin.execute(sql.SQL("DELETE FROM {}").format(table_identifier(table))).rowcount
        except psycopg.errors.InsufficientPrivilege:
            gone = 0
        if gone > own:
            yield f"{table} lets {person} delete {gone} rows, whose are {own} of {total}"
    if other != person and _given_away(admin, app, tenants, table, person, other):
        yield f"{table} lets {person} give rows to {other}: its policies lack a WITH CHECK"


def _given_away(  # noqa: PLR0913, PLR0917 - as above
    admin: psycopg.Connection, app: str, tenants: Belonging, table: str, person: str, other: str
) -> bool:
    """Say whether rows of `person` become rows of `other` when they are written with what those have."""
    way = tenants.ways[table][0]
    found = admin.execute(
        sql.SQL("SELECT {}::text FROM {} WHERE {} LIMIT 1").format(
            sql.Identifier(way.column), table_identifier(table), possessions.rows_of(tenants, table, other)
        )
    ).fetchone()
    written = sql.SQL("UPDATE {} SET {} = {}").format(
        table_identifier(table), sql.Identifier(way.column), sql.Literal(found[0] if found else None)
    )
    with _acting(admin, app, person):
        try:
            return admin.execute(written).rowcount > 0
        except psycopg.errors.InsufficientPrivilege:  # what a violated policy is told as, too
            return False
        except psycopg.errors.IntegrityError:  # it passed the policies
            return True


@contextmanager
def _acting(admin: psycopg.Connection, app: str, person: str) -> Iterator[None]:
    """Act as the application for a person; without triggers and foreign keys, so that policies alone decide."""
    with admin.transaction(force_rollback=True):
        admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute("SELECT set_config(%s, %s, true)", [SETTING, person])
        admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(app)))
        yield


def _seen(connection: psycopg.Connection, table: str) -> int | None:
    """Return how many rows the acting role sees, None where it may not look."""
    try:
        return _rows(connection, table)
    except psycopg.errors.InsufficientPrivilege:
        return None


def _rows(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table_identifier(table))).fetchone()
    return int(row[0]) if row else 0
