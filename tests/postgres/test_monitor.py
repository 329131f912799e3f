"""The login with which a server is watched: it sees figures of all, and no row of anybody's."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from keelson.errors import OwnershipError, UnreachableError
from keelson.postgres.monitor import MONITOR, drop_monitor, ensure_monitor, has_monitor
from tests.servers import Server
from tests.services import PASSWORD, Service

STACK = "0123456789ab"


@pytest.fixture
def monitored(database: Service, admin: psycopg.Connection) -> Iterator[Service]:
    """A service with a table, on a server that is watched."""
    with database.as_admin() as inside:
        inside.execute("CREATE TABLE secrets (word text)")
    ensure_monitor(admin, STACK, PASSWORD)
    yield database
    drop_monitor(admin, STACK)


def as_monitor(server: Server) -> psycopg.Connection:
    return server.connect("postgres", MONITOR, PASSWORD)


@pytest.mark.parametrize(
    "question", ["pg_database_size(%s::name)", "count(*) FROM pg_stat_activity WHERE datname = %s"]
)
def test_it_sees_figures_of_every_database(monitored: Service, question: str) -> None:
    with as_monitor(monitored.server) as monitor:
        assert monitor.execute(f"SELECT {question}", [monitored.name]).fetchone()


def test_it_is_let_into_no_database_of_a_service(monitored: Service) -> None:
    monitored.open()
    with pytest.raises(UnreachableError, match="permission denied for database"):
        monitored.server.connect(monitored.name, MONITOR, PASSWORD)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM keelson.ownership",
        "SELECT * FROM kept_apart",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "SET ROLE postgres",
        "SET ROLE pg_monitor",
        "CREATE TEMPORARY TABLE t (id int)",
        "CREATE SCHEMA mine",
        "SET default_transaction_read_only = off; CREATE TABLE public.t (id int)",
    ],
)
def test_it_reads_no_row_and_writes_nothing(monitored: Service, admin: psycopg.Connection, statement: str) -> None:
    admin.execute("CREATE TABLE IF NOT EXISTS kept_apart (id int)")
    with as_monitor(monitored.server) as monitor, pytest.raises(psycopg.Error) as refused:
        monitor.execute(statement)
    assert refused.value.sqlstate in {"42501", "25006"}  # no privilege; a transaction that only reads
    admin.execute("DROP TABLE kept_apart")


def test_what_it_was_given_beside_that_is_taken_back(monitored: Service, admin: psycopg.Connection) -> None:
    admin.execute(f"GRANT pg_read_all_data, {monitored.roles.owner} TO {MONITOR}")
    admin.execute(f"ALTER ROLE {MONITOR} CREATEROLE")
    ensure_monitor(admin, STACK, PASSWORD)
    query = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole"
    assert admin.execute(query, [MONITOR]).fetchall() == [("pg_monitor",)]
    assert admin.execute("SELECT rolcreaterole FROM pg_roles WHERE rolname = %s", [MONITOR]).fetchone() == (False,)


def test_it_gets_another_password_and_none_reaches_the_log(monitored: Service, admin: psycopg.Connection) -> None:
    before = len(monitored.server.log.read_text())
    ensure_monitor(admin, STACK, "another password of 32 characters")
    with monitored.server.connect("postgres", MONITOR, "another password of 32 characters"):
        pass
    log = monitored.server.log.read_text()[before:]
    assert "another password" not in log
    assert "SCRAM-SHA-256$" not in log


def test_it_is_dropped_though_it_is_connected_and_only_by_its_stack(
    monitored: Service, admin: psycopg.Connection
) -> None:
    drop_monitor(admin, "another stack")
    assert has_monitor(admin)
    with as_monitor(monitored.server):
        drop_monitor(admin, STACK)
    assert not has_monitor(admin)
    drop_monitor(admin, STACK)


def test_a_role_of_that_name_that_is_somebody_elses_is_left_alone(admin: psycopg.Connection) -> None:
    admin.execute(f"CREATE ROLE {MONITOR}")
    try:
        with pytest.raises(OwnershipError, match="is not Keelson's"):
            ensure_monitor(admin, STACK, PASSWORD)
    finally:
        admin.execute(f"DROP ROLE {MONITOR}")
