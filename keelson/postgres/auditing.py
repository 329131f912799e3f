"""Parameters of pgAudit that a server keeps itself, for all roles in all databases, where no file of ours says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

PREFIX = "pgaudit."
_KEPT = """
    SELECT split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
    FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS setting WHERE setrole = 0 AND setdatabase = 0
"""


def keep(admin: psycopg.Connection, wanted: Mapping[str, str]) -> None:
    """Set the wanted ones for all roles, and take others of pgAudit back; what is as it should be is not set again."""
    kept = {name: value for name, value in admin.execute(_KEPT) if name.startswith(PREFIX)}
    for name in kept.keys() - wanted.keys():
        admin.execute(sql.SQL("ALTER ROLE ALL RESET {}").format(sql.Identifier(*name.split("."))))
    for name, value in wanted.items() - kept.items():
        query = sql.SQL("ALTER ROLE ALL SET {} = {}")
        admin.execute(query.format(sql.Identifier(*name.split(".")), sql.Literal(value)))
