"""Databases whose TimescaleDB is of an older version than the server's: until they are updated, no query on a hypertable works.

A session that has loaded one version cannot change to another, and loads it at its first look at the database; so the versions
are read by a session that loads none, and the update is the first statement of one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from keelson.endpoint import Reference, resolve
from keelson.errors import ServerError
from keelson.postgres.connection import connect

VERSIONS = """
    SELECT installed.extversion, offered.default_version
    FROM pg_catalog.pg_extension AS installed
    JOIN pg_catalog.pg_available_extensions AS offered ON offered.name = installed.extname
    WHERE installed.extname = 'timescaledb' AND installed.extversion <> offered.default_version
"""
DATABASES = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname"
NAME = "keelson"


def update(server: Reference) -> tuple[str, ...]:
    """Update TimescaleDB in each database of a server where it is of another version; return what was done, in sentences.

    Raises:
        ServerError: the server's version cannot take a database over.
    """
    with _without_library(server) as admin:
        databases = [str(name) for (name,) in admin.execute(DATABASES)]
    done = (_update(server.to(database=database)) for database in databases)
    return tuple(note for note in done if note)


def _update(reference: Reference) -> str:
    with _without_library(reference) as admin:
        found = admin.execute(VERSIONS).fetchone()
    if found is None:
        return ""
    old, new = found
    try:
        with connect(_parameters(reference), application_name=NAME) as admin:
            admin.execute("ALTER EXTENSION timescaledb UPDATE")
    except psycopg.Error as fault:
        msg = (
            f"database {reference.database} of server {reference.server} has TimescaleDB {old}, and cannot be brought to {new} "
            f"({fault.diag.message_primary or fault}); use an image with {old}, or restore a backup into a new server"
        )
        raise ServerError(msg) from None
    return f"database {reference.database} goes from TimescaleDB {old} to {new}"


def _without_library(reference: Reference) -> psycopg.Connection:
    options = {"options": "-c timescaledb.disable_load=on"}
    return connect({**_parameters(reference), **options}, application_name=NAME)


def _parameters(reference: Reference) -> Mapping[str, str]:
    return resolve(reference).connection_parameters()
