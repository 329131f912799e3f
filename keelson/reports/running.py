"""Running a report: one SELECT, in a transaction that may only read, with a time limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from keelson.errors import KeelsonError, SettingsError
from keelson.postgres.catalog import timescale_edition
from keelson.reports.files import Report

SECONDS = 30.0  # that a report may take
_ALL = 2_147_483_647


class ReportError(KeelsonError):
    """A report is no SELECT, may not read what it asks for, or takes too long."""


@dataclass(frozen=True)
class Rows:
    """What a report found; `more` says that there are further rows."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    more: bool = False


def run(connection: psycopg.Connection, report: Report, *, limit: int = 0, owner: str = "") -> Rows:
    """Return what `report` finds, at most `limit` rows unless that is 0.

    Args:
        connection: in autocommit, to the database.
        report: what is asked.
        limit: how many rows at most.
        owner: the role to ask as, where it is not the login's own.

    Raises:
        SettingsError: the database lacks an extension or an edition that the report needs.
        ReportError: it is no SELECT, may not read something, or takes longer than SECONDS.
    """
    _refuse_missing(connection, report)
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET TRANSACTION READ ONLY")
            connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(int(SECONDS * 1000)))
            if owner:
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
            return _selected(connection, report, limit)
    except psycopg.errors.QueryCanceled:
        msg = f"{report.name} took longer than {SECONDS:.0f} s, so it was ended; ask for less, or run it with `keelson psql`"
        raise ReportError(msg) from None
    except psycopg.Error as fault:
        said = (fault.diag.message_primary or str(fault)).splitlines()[0]
        msg = f"{report.name} could not run: {said} (SQLSTATE {fault.sqlstate}); correct {report.path}"
        raise ReportError(msg) from None


def _selected(connection: psycopg.Connection, report: Report, limit: int) -> Rows:
    """Read through a cursor of the server: it takes nothing but one query, and sends no row that is not shown."""
    query = b"DECLARE report NO SCROLL CURSOR FOR " + report.text().encode()
    connection.execute(query, binary=True)  # by the protocol that refuses a second statement
    cursor = connection.execute(sql.SQL("FETCH {} FROM report").format(limit + 1 if limit else _ALL))
    rows = cursor.fetchall()
    columns = tuple(column.name for column in cursor.description or ())
    return Rows(columns, rows[:limit] if limit else rows, more=bool(limit) and len(rows) > limit)


def _refuse_missing(connection: psycopg.Connection, report: Report) -> None:
    name = connection.info.dbname
    extension = report.needs.get("Extension")
    query = "SELECT FROM pg_catalog.pg_extension WHERE extname = %s"
    if extension and connection.execute(query, [extension]).fetchone() is None:
        msg = f"{report.name} needs the extension {extension}, which the database {name} does not have; ask another database"
        raise SettingsError(msg)
    edition = report.needs.get("Edition")
    if edition and timescale_edition(connection) != edition:
        msg = (
            f"{report.name} needs TimescaleDB's {edition.capitalize()} edition, and the server of {name} does not have it; "
            "ask a server that has"
        )
        raise SettingsError(msg)
