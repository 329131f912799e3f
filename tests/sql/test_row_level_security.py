"""Users see their own rows and no others; readers see the rows but no secrets; sign-in works before a user is known."""

from __future__ import annotations

import psycopg
import pytest

from tests.sql import facts, project

ALICE, BOB = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "12")
PROTECTED = [
    (database, table)
    for database in ("auth", "portfolio")
    for table in facts.TABLES[database]
    if table.startswith("public.")
]
OWNED = [(database, table) for database, table in PROTECTED if table != "public.benchmarks"]


def work_for(connection, user):
    connection.execute("SELECT set_config('app.current_user_id', %s, true)", [user])


def count(connection, table):
    return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.mark.parametrize(("database", "table"), PROTECTED)
def test_table_is_protected_from_what_runs_as_its_owner_too(connection, table):
    row = connection.execute(
        "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", [table]
    ).fetchone()
    assert row == (True, True)


@pytest.mark.parametrize(("database", "table"), OWNED)
@pytest.mark.parametrize("user", [None, "", "99999999-9999-4999-8999-999999999999"])
def test_application_sees_nothing_for_nobody(acting, database, table, user):
    with acting(database, "app") as connection:
        if user is not None:
            work_for(connection, user)
        assert count(connection, table) == 0


def test_application_sees_all_benchmarks_and_cannot_change_them(acting):
    with acting("portfolio", "app") as connection:
        assert count(connection, "benchmarks") == 6
        assert connection.execute("UPDATE benchmarks SET name = 'x'").rowcount == 0


def test_users_see_their_own_portfolios_and_what_is_in_them(acting):
    with acting("portfolio", "app") as connection:
        work_for(connection, ALICE)
        assert {name for (name,) in connection.execute("SELECT name FROM portfolios")} == {"Growth", "Retirement"}
        assert count(connection, "transactions") == 15
        assert count(connection, "portfolio_snapshots") == 180
        work_for(connection, BOB)
        assert {name for (name,) in connection.execute("SELECT name FROM portfolios")} == {"Income"}
        assert {symbol for (symbol,) in connection.execute("SELECT symbol FROM holdings")} == {"JNJ", "JPM", "XOM"}


def test_users_cannot_change_or_write_rows_of_others(acting):
    with acting("portfolio", "app") as connection:
        work_for(connection, BOB)
        assert connection.execute("DELETE FROM portfolios WHERE user_id = %s", [ALICE]).rowcount == 0
        assert connection.execute("UPDATE holdings SET quantity = 1 WHERE symbol = 'AAPL'").rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("INSERT INTO portfolios (user_id, name) VALUES (%s, 'Mine now')", [ALICE])
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("UPDATE portfolios SET user_id = %s", [ALICE])


def test_users_write_and_delete_their_own_rows(acting):
    with acting("portfolio", "app") as connection:
        work_for(connection, BOB)
        connection.execute("INSERT INTO portfolios (user_id, name) VALUES (%s, 'New')", [BOB])
        assert connection.execute("DELETE FROM portfolios").rowcount == 2
        assert count(connection, "transactions") == 0


def test_deleting_a_user_deletes_all_that_is_known_of_the_person(acting):
    with acting("auth", "app") as connection:
        work_for(connection, ALICE)
        assert connection.execute("DELETE FROM users").rowcount == 1
    with acting("auth", "owner") as connection:
        connection.execute("DELETE FROM users WHERE id = %s", [ALICE])
        for table in [table for database, table in PROTECTED if database == "auth"][1:]:
            assert connection.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s", [ALICE]).fetchone() == (0,), (
                table
            )


@pytest.mark.parametrize(("database", "table"), PROTECTED)
def test_readers_see_every_row(acting, database, table):
    with acting(database, "owner") as connection:
        rows = count(connection, table)
    with acting(database, "readonly") as connection:
        assert count(connection, table) == rows


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("users", "password_hash"),
        ("refresh_tokens", "token_hash"),
        ("api_keys", "key_hash"),
        ("password_reset_tokens", "token_hash"),
        ("email_verification_tokens", "token_hash"),
        ("user_sessions", "session_hash"),
    ],
)
def test_readers_see_no_hashes_and_every_other_column(acting, table, column):
    with acting("auth", "readonly") as connection:
        for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", [table]
        ).fetchall():
            held = connection.execute("SELECT has_column_privilege(%s, %s, 'SELECT')", [table, name]).fetchone()[0]
            assert held == (name != column), name


def test_application_registers_a_user_and_signs_in_before_the_user_is_known(acting):
    with acting("auth", "app") as connection:
        user = connection.execute("SELECT register_user('New@Example.com', '$none$')").fetchone()[0]
        assert connection.execute("SELECT id, status FROM find_user('new@example.COM')").fetchone() == (user, "pending")
        connection.execute("SELECT record_login_attempt('new@example.com', '192.0.2.9', 'wrong_password', NULL)")
        connection.execute("SELECT record_login_attempt('new@example.com', '192.0.2.9', NULL, NULL)")
        assert connection.execute(
            "SELECT failed_logins('new@example.com', '192.0.2.9', now() - interval '1 hour')"
        ).fetchone() == (1,)
        assert count(connection, "login_attempts") == 0
        work_for(connection, str(user))
        assert count(connection, "users") == 1
        assert count(connection, "login_attempts") == 2


@pytest.mark.parametrize(
    ("function", "insert"),
    [
        (
            "user_of_session",
            "INSERT INTO user_sessions (user_id, session_hash, expires_at) VALUES (%s, sha256('a'), now() + %s)",
        ),
        (
            "user_of_refresh_token",
            "INSERT INTO refresh_tokens (user_id, token_hash, expires_at) VALUES (%s, sha256('a'), now() + %s)",
        ),
        (
            "user_of_api_key",
            "INSERT INTO api_keys (user_id, name, service, key_prefix, key_hash, expires_at) VALUES (%s, 'n', 's', 'p', sha256('a'), now() + %s)",
        ),
        (
            "user_of_password_reset_token",
            "INSERT INTO password_reset_tokens (user_id, token_hash, expires_at) VALUES (%s, sha256('a'), now() + %s)",
        ),
        (
            "user_of_email_verification_token",
            "INSERT INTO email_verification_tokens (user_id, email, token_hash, expires_at) VALUES (%s, 'a@example.com', sha256('a'), now() + %s)",
        ),
    ],
)
def test_token_leads_to_its_user_while_it_is_valid(acting, function, insert):
    with acting("auth", "app") as connection:
        work_for(connection, ALICE)
        connection.execute(insert, [ALICE, "1 hour"])
        work_for(connection, "")
        found = connection.execute(f"SELECT {function}(sha256('a'))::text, {function}(sha256('b'))").fetchone()
        assert found == (ALICE, None)


def test_only_the_application_may_call_the_functions_that_pass_by_row_level_security(acting):
    with acting("auth", "owner") as connection:
        rows = connection.execute("""
            SELECT proconfig, has_function_privilege('auth_app', oid, 'EXECUTE'), has_function_privilege('auth_readonly', oid, 'EXECUTE')
            FROM pg_proc
            WHERE prosecdef AND pronamespace = 'public'::regnamespace
        """).fetchall()
    assert rows == [(["search_path=public, pg_temp"], True, False)] * 9


def test_only_these_databases_hold_rows_of_users_behind_policies(stack_databases):
    with_policies = set()
    for database in project.DATABASES:
        with stack_databases(database) as connection:
            if connection.execute("SELECT count(*) FROM pg_policy").fetchone()[0]:
                with_policies.add(database)
    assert with_policies == {"auth", "portfolio"}
