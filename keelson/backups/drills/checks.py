"""The project's own queries, `sql/<database>/checks/*.sql`: each finds no row when the data is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psycopg

from keelson.errors import SettingsError
from keelson.wording import counted

TIME_LIMIT = "15min"  # for each


def read_checks(directory: Path) -> dict[str, str]:
    """Return the queries of a database's folder by their files' names; none where it has no checks/.

    Raises:
        SettingsError: one cannot be read.
    """
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.sql"))}
    except (OSError, ValueError) as fault:
        msg = f"a check in {directory} cannot be read ({fault}); give access, and write it as UTF-8"
        raise SettingsError(msg) from None


def run_checks(connection: psycopg.Connection, checks: Mapping[str, str]) -> tuple[dict[str, int], list[str]]:
    """Return how many rows each query finds, and a sentence for each that finds any or cannot be run.

    Rows themselves are told nowhere: they may hold what nobody else may read.
    """
    found: dict[str, int] = {}
    faults: list[str] = []
    for name, text in checks.items():
        try:
            found[name] = _rows(connection, text)
        except psycopg.Error as fault:
            said = (fault.diag.message_primary or str(fault)).splitlines()[0]
            faults.append(f"the check {name} cannot be run on the restored database: {said}")
            continue
        if found[name]:
            faults.append(f"the check {name} finds {counted(found[name], 'row')} in the restored database")
    return found, faults


def _rows(connection: psycopg.Connection, text: str) -> int:
    """Return how many rows the statements of `text` find, in a transaction that changes nothing."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION READ ONLY; SET LOCAL search_path = public")
        connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, true)", [TIME_LIMIT])
        cursor = connection.execute(text.encode())
        rows = 0
        while True:
            rows += cursor.rowcount if cursor.description else 0
            if not cursor.nextset():
                return rows
