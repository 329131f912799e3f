"""Asks a database's catalog in one read-only snapshot; any role that can connect may ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from keelson.errors import ServerError
from keelson.postgres.connection import server_address
from keelson.postgres.snapshot.model import Key, Snapshot

ATTEMPTS = 3  # while others change the schema
QUESTIONS = ("relations", "columns", "table_parts", "routines_and_types", "others", "grants")
_CHANGED_MEANWHILE = frozenset({"XX000", "42P01", "42704", "3F000"})  # an object was dropped while it was looked at
_NAMES_ROLES = frozenset({"owner", "roles"})
_ROLES_AS_KEYS = frozenset({"grants to", "member of", "has member"})

# Whatever decides how PostgreSQL writes an expression; names outside pg_catalog come with their schema.
_PINNED = """
    SET TRANSACTION READ ONLY;
    SET LOCAL search_path = pg_catalog; SET LOCAL quote_all_identifiers = off; SET LOCAL datestyle = 'ISO, YMD';
    SET LOCAL intervalstyle = postgres; SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1;
    SET LOCAL bytea_output = hex; SET LOCAL standard_conforming_strings = on
"""
_ISOLATED = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_ARE_ROLES = "SELECT set_config('keelson.roles', %s, true)"
_HAS_TIMESCALE = "SELECT FROM pg_extension WHERE extname = 'timescaledb'"

Row = tuple[str, str, str, dict[str, Any]]


def read(
    connection: psycopg.Connection, *, roles: Sequence[str] = (), renamed: Mapping[str, str] | None = None
) -> Snapshot:
    """Return the catalog of the connected database.

    Args:
        connection: In autocommit, or in a transaction whose view of the catalog is wanted; nothing is written, and no row
            of a table is read.
        roles: Roles of the server that belong to the database, to be told with their attributes and memberships.
        renamed: By which name a role counts, where another database has another one for the same purpose.

    Raises:
        ServerError: the catalog cannot be read.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            rows = _ask(connection, roles)
            break
        except psycopg.Error as fault:
            if fault.sqlstate not in _CHANGED_MEANWHILE or attempt == ATTEMPTS:
                raise ServerError(_sentence(connection, fault)) from None
    return Snapshot(_objects(rows, renamed or {}), connection.info.server_version)


def _ask(connection: psycopg.Connection, roles: Sequence[str]) -> list[Row]:
    alone = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction(force_rollback=True):
        connection.execute(f"{_ISOLATED};{_PINNED}" if alone else _PINNED)
        timescale = connection.execute(_HAS_TIMESCALE).fetchone()
        questions = [_text("scope") + _text(name) for name in QUESTIONS]
        questions += [_text("timescale")] if timescale is not None else []
        with connection.pipeline():
            connection.execute(_ARE_ROLES, [",".join(roles)])
            cursors = [connection.execute(question.encode()) for question in questions]
            return [row for cursor in cursors for row in cursor.fetchall()]


def _objects(rows: Iterable[Row], renamed: Mapping[str, str]) -> dict[Key, dict[str, dict[str, str]]]:
    objects: dict[Key, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for kind, name, label, facts in rows:
        key = Key(kind, _renamed_key(kind, name, renamed))
        objects[key][label] |= _flat(facts, renamed)
    _forget_materializations(objects)
    return {key: {label: dict(facts) for label, facts in parts.items()} for key, parts in sorted(objects.items())}


def _flat(facts: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, str]:
    """Return facts as texts; those that are not there are left out, a dictionary becomes a fact for each of its keys."""
    found: dict[str, str] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            names = renamed if name in _ROLES_AS_KEYS else {}
            found |= {f"{name} {names.get(key, key)}": str(item) for key, item in value.items()}
        elif isinstance(value, list):
            listed = sorted(renamed.get(item, item) for item in value) if name in _NAMES_ROLES else value
            found[name] = ", ".join(map(str, listed))
        elif value not in {None, ""}:
            found[name] = renamed.get(str(value), str(value)) if name in _NAMES_ROLES else str(value)
    return found


def _renamed_key(kind: str, name: str, renamed: Mapping[str, str]) -> str:
    if kind == "role":
        return renamed.get(name, name)
    if kind == "default privileges":
        return " ".join(renamed.get(word, word) for word in name.split(" "))
    return name


def _forget_materializations(objects: Mapping[Key, dict[str, dict[str, str]]]) -> None:
    """A continuous aggregate is known by its query: its view names a table that has another number in each database."""
    for parts in objects.values():
        if "continuous aggregate" in parts:
            parts[""].pop("definition", None)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def _sentence(connection: psycopg.Connection, fault: psycopg.Error) -> str:
    where = f"{connection.info.dbname!r} of {server_address(connection)}"
    said = fault.diag.message_primary or str(fault).strip() or type(fault).__name__
    step = "try again" if fault.sqlstate in _CHANGED_MEANWHILE else "look at the server's log"
    return f"the catalog of {where} cannot be read: {said} (SQLSTATE {fault.sqlstate}); {step}"
