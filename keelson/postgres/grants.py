"""What one login may do with single tables, views and sequences, by their names."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from keelson.errors import SettingsError

_FOUND = """
    SELECT c.relkind::text, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
"""
SEQUENCE = "S"


def grant_objects(connection: psycopg.Connection, login: str, grants: Mapping[str, tuple[str, ...]]) -> None:
    """Give `login` privileges on objects of the connected database, {`market_data.ohlcv`: (select,)}; public where no schema is named.

    Raises:
        SettingsError: there is no such object.
    """
    role = sql.Identifier(login)
    for name, privileges in grants.items():
        kind, schema, relation = _found(connection, login, name)
        what = sql.SQL("SEQUENCE" if kind == SEQUENCE else "TABLE")
        words = sql.SQL(", ").join(map(sql.SQL, privileges))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role))
        query = sql.SQL("GRANT {} ON {} {} TO {}")
        connection.execute(query.format(words, what, sql.Identifier(schema, relation), role))


def _found(connection: psycopg.Connection, login: str, name: str) -> tuple[str, str, str]:
    schema, dot, relation = name.partition(".")
    row = connection.execute(_FOUND, [schema if dot else "public", relation or schema]).fetchone()
    if row is None:
        msg = (
            f"the login {login!r} is granted {name!r}, which is no table, view or sequence of the database "
            f"{connection.info.dbname!r}; correct `grants` in its database.yaml"
        )
        raise SettingsError(msg)
    kind, found_schema, found_relation = row
    return kind, found_schema, found_relation
