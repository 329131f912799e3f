"""Small facts that a server tells about itself."""

from __future__ import annotations

from typing import Literal, cast

import psycopg

Edition = Literal["apache", "community"]


def server_version(connection: psycopg.Connection) -> int:
    """Return the server's version as a number, for example 170011."""
    return connection.info.server_version


def database_size(connection: psycopg.Connection, database: str) -> int | None:
    """Return the bytes that a database takes, or None where there is none."""
    query = "SELECT pg_catalog.pg_database_size(oid) FROM pg_catalog.pg_database WHERE datname = %s"
    row = connection.execute(query, [database]).fetchone()
    return row[0] if row else None


def has_database(connection: psycopg.Connection, name: str) -> bool:
    """Return whether the server has a database of this name."""
    return connection.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [name]).fetchone() is not None


def has_table(connection: psycopg.Connection, name: str) -> bool:
    """Return whether the connected database has a table of this name, such as `public.users`."""
    return connection.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", [name]).fetchone() == (True,)


def has_role(connection: psycopg.Connection, name: str) -> bool:
    """Return whether the server has a role of this name."""
    return connection.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [name]).fetchone() is not None


def connections(connection: psycopg.Connection, database: str) -> int:
    """Return how many clients are connected to a database."""
    query = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
    row = connection.execute(query, [database]).fetchone()
    return row[0] if row else 0


def schema_version(connection: psycopg.Connection) -> int | None:
    """Return the highest version in the connected database's ledger, or None where nothing was applied."""
    if not has_table(connection, "public.schema_versions"):
        return None
    version = connection.execute("SELECT max(version) FROM public.schema_versions").fetchone()
    return cast("int | None", version[0]) if version else None


def available_extensions(connection: psycopg.Connection) -> dict[str, str]:
    """Return {extension: default version} of what can be made on the server."""
    query = "SELECT name, default_version FROM pg_catalog.pg_available_extensions ORDER BY name"
    return dict(connection.execute(query).fetchall())


def has_timescale_community(admin: psycopg.Connection, version: str) -> bool:
    """Say whether the server has TimescaleDB's Community edition; asked as its administrator, in any database.

    Where the extension is not made, its parameter is known only if the server's configuration sets it; so the library is looked for.
    """
    query = """
        SELECT coalesce(
            pg_catalog.current_setting('timescaledb.license', true) = 'timescale',
            (pg_catalog.pg_stat_file(setting || '/timescaledb-tsl-' || %s || '.so', true)).size IS NOT NULL)
        FROM pg_catalog.pg_config WHERE name = 'PKGLIBDIR'
    """
    row = admin.execute(query, [version]).fetchone()
    return bool(row and row[0])


def timescale_edition(connection: psycopg.Connection) -> Edition | None:
    """Return the edition of TimescaleDB in the connected database, or None where the extension is missing."""
    query = """
        SELECT pg_catalog.current_setting('timescaledb.license', true)
        FROM pg_catalog.pg_extension WHERE extname = 'timescaledb'
    """
    row = connection.execute(query).fetchone()
    if row is None:
        return None
    return "community" if row[0] == "timescale" else "apache"
