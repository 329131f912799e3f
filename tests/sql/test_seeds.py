"""The seeds are complete, can run again, pass the checks, and agree across the databases."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from tests.sql import project

USERS = [f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "123"]
CHECKS = [(database, path.stem) for database in project.DATABASES for path in project.checks(database)]
PRICES = {
    "market": "SELECT symbol, day::date AS day, close FROM market_data.ohlcv_daily",
    "timeseries": "SELECT symbol, day::date AS day, close FROM market_data.stock_prices_daily",
    "trading": """SELECT symbol, "timestamp"::date AS day, close FROM ohlcv WHERE timeframe = '1d'""",
}


@contextmanager
def opened(stack_databases, database):
    with stack_databases(database) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection


def rows(stack_databases, database, query):
    with opened(stack_databases, database) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize(("database", "check"), CHECKS)
def test_check_finds_nothing_in_dev(acting, database, check):
    with acting(database, "owner") as connection:
        assert project.run(connection, project.SQL / database / "checks" / f"{check}.sql").fetchall() == []


@pytest.mark.parametrize("environment", ["dev", "test", "demo"])
@pytest.mark.parametrize("database", project.DATABASES)
def test_seeds_pass_the_checks_and_add_nothing_the_second_time(acting, database, environment):
    with acting(database, "owner") as connection:
        for seed in project.seeds(database, environment):
            project.run(connection, seed)
        once = project.row_counts(connection)
        for seed in project.seeds(database, environment):
            project.run(connection, seed)
        assert project.row_counts(connection) == once
        for check in project.checks(database):
            assert project.run(connection, check).fetchall() == [], check.name


@pytest.mark.parametrize("database", project.DATABASES)
def test_dev_has_rows_in_every_table_that_dev_needs(stack_databases, database):
    with stack_databases(database) as connection:
        empty = {table for table, count in project.row_counts(connection).items() if not count}
    assert empty <= {"market_data.ohlcv_archive", "public.password_reset_tokens", "public.email_verification_tokens"}


def test_checks_find_a_holding_that_does_not_add_up(acting):
    with acting("portfolio", "owner") as connection:
        connection.execute("UPDATE holdings SET quantity = quantity + 1 WHERE symbol = 'AAPL'")
        connection.execute("UPDATE portfolios SET cash_balance = cash_balance + 1")
        found = {check.stem: len(project.run(connection, check).fetchall()) for check in project.checks("portfolio")}
    assert found["holdings_add_up"] == 1
    assert found["cash_adds_up"] == 4


def test_checks_find_a_missing_day_of_prices(acting):
    with acting("market", "owner") as connection:
        connection.execute(
            "DELETE FROM market_data.ohlcv WHERE symbol = 'AAPL' AND (\"timestamp\" AT TIME ZONE 'UTC')::date = '2026-09-09'"
        )
        missing = project.run(connection, project.SQL / "market/checks/no_gaps_in_bars.sql").fetchall()
    assert [(symbol, str(day)) for symbol, day in missing] == [("AAPL", "2026-09-09")]


def test_at_least_fifty_securities_come_from_the_file(stack_databases):
    assert rows(stack_databases, "securities", "SELECT count(*) FROM securities")[0][0] >= 50


@pytest.mark.parametrize("database", PRICES)
def test_every_symbol_has_ninety_days_of_prices(stack_databases, database):
    counted = rows(
        stack_databases,
        database,
        f"SELECT symbol, count(DISTINCT day) FROM ({PRICES[database]}) AS closes GROUP BY symbol",
    )
    assert len(counted) == 12
    assert {days for _, days in counted} == {90}


def test_closes_are_the_same_in_every_database(stack_databases):
    market, *others = (set(rows(stack_databases, database, query)) for database, query in PRICES.items())
    assert others == [market, market]


def test_traded_symbols_are_listed_securities(stack_databases):
    listed = {symbol for (symbol,) in rows(stack_databases, "securities", "SELECT symbol FROM securities")}
    for database, query in PRICES.items():
        assert {symbol for symbol, *_ in rows(stack_databases, database, query)} <= listed


def test_transactions_have_the_close_of_their_day(stack_databases):
    closes = {(symbol, day): close for symbol, day, close in rows(stack_databases, "market", PRICES["market"])}
    traded = rows(
        stack_databases,
        "portfolio",
        "SELECT symbol, executed_at::date, price FROM transactions WHERE price IS NOT NULL",
    )
    assert len(traded) >= 10
    assert [(symbol, day) for symbol, day, price in traded if closes[symbol, day] != price] == []


def test_portfolio_values_are_the_same_in_portfolio_and_timeseries(stack_databases):
    here = rows(
        stack_databases,
        "portfolio",
        "SELECT portfolio_id, snapshot_date, total_value, cash_balance FROM portfolio_snapshots",
    )
    there = rows(
        stack_databases,
        "timeseries",
        "SELECT portfolio_id, time::date, total_value, cash_balance FROM analytics_ts.portfolio_snapshots",
    )
    assert len(here) >= 90 * 3
    assert sorted(here) == sorted(there)


@pytest.mark.parametrize(
    ("database", "query"),
    [
        ("auth", "SELECT id FROM users"),
        ("portfolio", "SELECT user_id FROM portfolios"),
        ("trading", "SELECT user_id FROM trading_accounts"),
        ("analytics", "SELECT user_id FROM user_activity"),
        ("notifications", "SELECT user_id FROM notifications"),
        ("nexanest", "SELECT user_id FROM organization_members"),
        ("timeseries", "SELECT user_id FROM events.trading_events"),
    ],
)
def test_the_three_users_are_the_same_everywhere(stack_databases, database, query):
    assert sorted({str(user) for (user,) in rows(stack_databases, database, query)}) == USERS


def test_no_password_fits_a_seeded_user(stack_databases):
    assert rows(stack_databases, "auth", "SELECT DISTINCT password_hash FROM users") == [("!",)]
