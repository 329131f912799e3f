"""The roles that a database names, as SQL that makes them on another server; no password is among it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

_ATTRIBUTES = ("super", "inherit", "createrole", "createdb", "canlogin", "replication", "bypassrls")
_WORDS = {"super": "SUPERUSER", "canlogin": "LOGIN"}
_LISTS = frozenset({"local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces"})
_ROLES = """
    SELECT rolname, rolconnlimit, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
        CASE WHEN pg_catalog.isfinite(rolvaliduntil)
            THEN pg_catalog.to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'
            ELSE rolvaliduntil::text END AS until
    FROM pg_catalog.pg_roles WHERE rolname = ANY(%s) ORDER BY rolname
"""
_ITEM = re.compile(r'"((?:[^"]|"")*)"|([^,\s][^,]*)')


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a database, for all its sessions or those of one role."""

    role: str | None
    text: str  # name=value, as pg_db_role_setting keeps it

    def statement(self, database: str | None) -> sql.Composed:
        """Return what makes it: in `database`, or in all where that is None."""
        name, _, value = self.text.partition("=")
        where = sql.SQL("DATABASE {}").format(sql.Identifier(database or ""))
        if self.role is not None:
            inside = sql.SQL(" IN ") + where if database else sql.SQL("")
            where = sql.SQL("ROLE {}{}").format(sql.Identifier(self.role), inside)
        return sql.SQL("ALTER {} SET {} TO {}").format(where, _parameter(name), _value(name, value))


def named_roles(connection: psycopg.Connection) -> tuple[list[str], list[str]]:
    """Return the roles that the connected database names, and all that belong to them by membership."""
    rows = connection.execute(resources.files(__package__).joinpath("roles.sql").read_bytes()).fetchall()
    return [name for _, name, is_named in rows if is_named], [name for _, name, _ in rows]


def settings_of(connection: psycopg.Connection) -> list[Setting]:
    """Return the settings of the connected database."""
    return settings_in(connection, connection.info.dbname)


def settings_in(connection: psycopg.Connection, database: str) -> list[Setting]:
    """Return the settings of a database of the connected server."""
    query = """
        SELECT r.rolname, unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s
        JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = %s
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole ORDER BY 1, 2
    """
    return [Setting(*row) for row in connection.execute(query, [database]).fetchall()]


def roles_sql(connection: psycopg.Connection, names: Sequence[str]) -> str:
    """Return SQL that makes the roles `names` with their memberships and settings where they are missing."""
    statements = [
        sql.SQL("SET client_encoding = 'UTF8'"),
        *_creations(connection, names),
        *_memberships(connection, names),
        *_role_settings(connection, names),
    ]
    head = "-- Roles and memberships of one database, without passwords. Roles that are there stay as they are.\n"
    return head + "".join(f"{statement.as_string(connection)};\n" for statement in statements)


def _creations(connection: psycopg.Connection, names: Sequence[str]) -> Iterator[sql.Composable]:
    with connection.cursor(row_factory=dict_row) as cursor:
        for role in cursor.execute(_ROLES, [list(names)]).fetchall():
            create = sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role["rolname"]), _options(role))
            body = f"BEGIN {create.as_string(connection)}; EXCEPTION WHEN duplicate_object THEN NULL; END"
            yield sql.SQL("DO {}").format(sql.Literal(body))


def _options(role: dict[str, Any]) -> sql.Composable:
    words = [f"{'' if role[f'rol{key}'] else 'NO'}{_WORDS.get(key, key.upper())}" for key in _ATTRIBUTES]
    options = [*map(sql.SQL, words), sql.SQL("CONNECTION LIMIT {}").format(role["rolconnlimit"])]
    if role["until"] is not None:
        options.append(sql.SQL("VALID UNTIL {}").format(sql.Literal(role["until"])))
    return sql.SQL(" ").join(options)


def _memberships(connection: psycopg.Connection, names: Sequence[str]) -> Iterator[sql.Composable]:
    query = """
        SELECT DISTINCT g.rolname, m.rolname, a.admin_option, a.inherit_option, a.set_option
        FROM pg_catalog.pg_auth_members a
        JOIN pg_catalog.pg_roles g ON g.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
        WHERE m.rolname = ANY(%s) ORDER BY 1, 2
    """
    for group, member, *options in connection.execute(query, [list(names)]).fetchall():
        flags = [sql.SQL("TRUE" if option else "FALSE") for option in options]
        yield sql.SQL("GRANT {} TO {} WITH ADMIN {}, INHERIT {}, SET {}").format(
            sql.Identifier(group), sql.Identifier(member), *flags
        )


def _role_settings(connection: psycopg.Connection, names: Sequence[str]) -> Iterator[sql.Composable]:
    query = """
        SELECT r.rolname, unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s
        JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = 0 AND r.rolname = ANY(%s) ORDER BY 1, 2
    """
    for role, text in connection.execute(query, [list(names)]).fetchall():
        yield Setting(role, text).statement(None)


def _parameter(name: str) -> sql.Composable:
    return sql.SQL(".").join(map(sql.Identifier, name.split(".")))


def _value(name: str, value: str) -> sql.Composable:
    if name not in _LISTS or not value:
        return sql.Literal(value)
    items = [quoted.replace('""', '"') or plain.strip() for quoted, plain in _ITEM.findall(value)]
    return sql.SQL(", ").join(map(sql.Literal, items))
