"""The application's own login, on a real server: no way leads to the rows of another user, and those who look after them see all."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from keelson.backups.rows import count_all
from keelson.backups.stream import RowCounter
from keelson.target import target
from tests.product import ALICE, BOB, NOBODY, as_application, database
from tests.servers import Server
from tests.services import PASSWORD, Service
from tests.sql import facts

OWNED = {
    name: [t for t in facts.TABLES[name] if t.startswith("public.") and t != "public.benchmarks"]
    for name in ("auth", "portfolio")
}
EACH = [(name, table) for name, tables in OWNED.items() for table in tables]


@pytest.fixture(scope="module")
def made(server: Server) -> Iterator[dict[str, Service]]:
    with database(server, "auth") as auth, database(server, "portfolio") as portfolio:
        yield {"auth": auth, "portfolio": portfolio}


def _rows(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row
    return int(row[0])


def _dump(service: Service, login: str) -> tuple[dict[str, int], str]:
    """Return the rows by table in what pg_dump writes as a login, and what it says."""
    info = service.server.parameters(service.name, login, PASSWORD)
    command = [*target("local").client("pg_dump"), "--data-only", "-h", info["host"], "-p", info["port"], "-U", login]
    done = subprocess.run(
        [*command, service.name], capture_output=True, check=False, env={**os.environ, "PGPASSWORD": PASSWORD}
    )
    counter = RowCounter()
    counter.take(done.stdout)
    return dict(counter.counts), done.stderr.decode()


@pytest.mark.parametrize(("name", "table"), EACH)
def test_login_of_the_application_sees_no_row_for_nobody(made: dict[str, Service], name: str, table: str) -> None:
    for user in ("", NOBODY):
        with as_application(made[name], user) as connection:
            assert _rows(connection, table) == 0
    with made[name].as_login(made[name].roles.app_a) as connection:  # the setting was never made
        assert _rows(connection, table) == 0


def test_who_it_works_for_ends_with_the_transaction(made: dict[str, Service]) -> None:
    with made["portfolio"].as_login(made["portfolio"].roles.app_a) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('app.current_user_id', %s, true)", [ALICE])
            assert _rows(connection, "portfolios") == 2
        assert _rows(connection, "portfolios") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE portfolios SET name = 'Mine'",
        "UPDATE transactions SET notes = 'x'",
        "DELETE FROM holdings",
        "DELETE FROM portfolios",
    ],
)
def test_statement_without_a_condition_changes_the_rows_of_one_user(made: dict[str, Service], statement: str) -> None:
    others = """
        SELECT p::text, h::text, t::text
        FROM portfolios p
        LEFT JOIN holdings h ON h.portfolio_id = p.id
        LEFT JOIN transactions t ON t.portfolio_id = p.id
        WHERE p.user_id <> %s
        ORDER BY 1, 2, 3
    """
    with made["portfolio"].as_admin() as admin:
        before = admin.execute(others, [BOB]).fetchall()
        with admin.transaction(force_rollback=True):
            admin.execute("SET LOCAL ROLE portfolio_app")
            admin.execute("SELECT set_config('app.current_user_id', %s, true)", [BOB])
            admin.execute(statement)
            admin.execute("RESET ROLE")
            assert admin.execute(others, [BOB]).fetchall() == before


def test_what_runs_as_the_owner_is_held_to_the_rows_of_the_user(made: dict[str, Service]) -> None:
    service = made["portfolio"]
    with service.as_migrator() as migrator:
        migrator.execute("SET ROLE portfolio_owner")
        migrator.execute("CREATE VIEW leaky AS SELECT user_id FROM portfolios")
        migrator.execute("GRANT SELECT ON leaky TO portfolio_app")
        migrator.execute(
            "CREATE FUNCTION leaks() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.holdings'"
        )
        try:
            assert _rows(migrator, "leaky") == 4
            with as_application(service, BOB) as connection:
                assert connection.execute("SELECT DISTINCT user_id::text FROM leaky").fetchall() == [(BOB,)]
                assert connection.execute("SELECT leaks()").fetchone() == (3,)
            with as_application(service) as connection:
                assert _rows(connection, "leaky") == 0
                assert connection.execute("SELECT leaks()").fetchone() == (0,)
        finally:
            migrator.execute("DROP VIEW leaky; DROP FUNCTION leaks()")


def test_function_that_runs_as_the_owner_changes_no_user_of_others(made: dict[str, Service]) -> None:
    service = made["auth"]
    with service.as_migrator() as migrator:
        migrator.execute("SET ROLE auth_owner")
        migrator.execute(
            "CREATE FUNCTION disable_all() RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER AS $$ UPDATE public.users SET status = 'disabled' RETURNING id $$"
        )
        try:
            with as_application(service) as connection:
                assert connection.execute("SELECT disable_all()").fetchall() == []
        finally:
            migrator.execute("DROP FUNCTION disable_all()")


def test_sign_in_works_before_the_user_is_known(made: dict[str, Service]) -> None:
    with as_application(made["auth"]) as connection, connection.transaction(force_rollback=True):
        found = connection.execute("SELECT id::text, status FROM find_user('ALICE@example.com')").fetchone()
        assert found == (ALICE, "active")
        connection.execute("SELECT record_login_attempt('alice@example.com', '192.0.2.9', 'wrong_password', NULL)")
        counted = "SELECT failed_logins('alice@example.com', '192.0.2.9', now() - interval '1 minute')"
        assert connection.execute(counted).fetchone() == (1,)
        new = connection.execute("SELECT register_user('new@example.com', '$none$')::text").fetchone()
        assert _rows(connection, "users") == 0
        connection.execute("SELECT set_config('app.current_user_id', %s, true)", new)
        assert _rows(connection, "users") == 1


@pytest.mark.parametrize(("name", "table"), EACH)
def test_those_who_look_after_the_rows_see_all_of_them(made: dict[str, Service], name: str, table: str) -> None:
    with made[name].as_admin() as admin:
        rows = _rows(admin, table)
    with made[name].as_migrator() as migrator:
        migrator.execute(f"SET ROLE {name}_owner")
        assert _rows(migrator, table) == rows
    with made[name].as_login(made[name].roles.readonly_a) as reader:
        assert reader.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,)


def test_login_that_passes_by_row_security_counts_and_dumps_all_rows(made: dict[str, Service]) -> None:
    """As a login for backups does: pg_dump itself refuses to run where a policy would hide a row from it."""
    service = made["portfolio"]
    with service.as_admin() as admin:
        expected = count_all(admin)
        admin.execute("CREATE ROLE dumper LOGIN BYPASSRLS PASSWORD 'a password of 24 letters' IN ROLE pg_read_all_data")
        admin.execute("CREATE ROLE short LOGIN PASSWORD 'a password of 24 letters' IN ROLE pg_read_all_data")
        admin.execute("GRANT CONNECT ON DATABASE portfolio TO dumper, short")
        try:
            with service.as_login("dumper") as dumper:
                assert count_all(dumper) == expected
            dumped, said = _dump(service, "dumper")
            assert {table: rows for table, rows in dumped.items() if table in expected[0]} == expected[0], said
            assert expected[0]["public.transactions"] > 0
            nothing, said = _dump(service, "short")
            assert "query would be affected by row-level security policy" in said
            assert not any(rows for table, rows in nothing.items() if table.startswith("public."))
        finally:
            admin.execute("REVOKE CONNECT ON DATABASE portfolio FROM dumper, short; DROP ROLE dumper, short")
