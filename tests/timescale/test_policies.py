from __future__ import annotations

from pathlib import Path

import pytest

from keelson.errors import MigrationError
from keelson.timescale import Report, apply_policies, policies, read_definition, run_substitutes
from tests.services import Service

YAML = """
hypertables:
  market_data.ohlcv:
    compression: {segment_by: [symbol], after: 30 days}
    retention: {after: 60 days}
aggregates:
  market_data.ohlcv_daily:
    query: |
      SELECT symbol, time_bucket('1 day', timestamp) AS day, max(price) AS price
      FROM market_data.ohlcv WHERE symbol NOT LIKE 'X%' GROUP BY symbol, day
    refresh: {start_offset: 3 days, end_offset: 1 hour, every: 1 hour}
    unique: [symbol, day]
"""
TABLES = """
CREATE SCHEMA market_data;
CREATE TABLE market_data.ohlcv (symbol text, timestamp timestamptz NOT NULL, price numeric);
SELECT create_hypertable('market_data.ohlcv', 'timestamp', chunk_time_interval => interval '7 days');
INSERT INTO market_data.ohlcv SELECT 'AAPL', now() - make_interval(days => d), 90 - d FROM generate_series(0, 89) d;
INSERT INTO market_data.ohlcv VALUES ('XYZ', now(), 1);
"""
ROWS = "SELECT count(*) FROM market_data.ohlcv_daily"


class Market:
    """A database with a hypertable, on the edition that the server has, and its timescale.yaml."""

    def __init__(self, service: Service, path: Path) -> None:
        self.service, self.path = service, path
        self.path.write_text(YAML)

    def apply(self) -> Report:
        with self.service.as_migrator() as connection:
            return apply_policies(connection, self.definition, owner=self.service.roles.owner)

    def run_substitutes(self) -> tuple[str, ...]:
        with self.service.as_migrator() as connection:
            return run_substitutes(connection, self.definition, owner=self.service.roles.owner)

    @property
    def definition(self):
        return read_definition(self.path, self.path.parent)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with self.service.as_admin() as admin:
            return admin.execute(statement).fetchall()

    def run(self, statement: str) -> None:
        with self.service.as_migrator() as connection:
            connection.execute(f"SET ROLE {self.service.roles.owner}")
            connection.execute(statement)


@pytest.fixture
def market(service: Service, tmp_path: Path) -> Market:
    service.make("timescaledb")
    made = Market(service, tmp_path / "timescale.yaml")
    made.run(TABLES)
    return made


def test_an_aggregate_is_a_filled_view_of_the_same_name_that_the_owner_owns_and_readers_read(market: Market) -> None:
    report = market.apply()
    assert report.edition == "apache"
    assert report.lacking[0] == "market_data.ohlcv: compression"
    assert market.query(ROWS) == [(90,)]
    assert market.query(
        "SELECT relkind::text, relowner::regrole::text FROM pg_class WHERE relname = 'ohlcv_daily'"
    ) == [("m", market.service.roles.owner)]
    market.service.open()
    with market.service.as_login(market.service.roles.readonly_a) as reader:
        assert reader.execute(ROWS).fetchone() == (90,)
        assert reader.execute("SELECT count(*) FROM market_data.ohlcv").fetchone() == (91,)


def test_applying_twice_changes_nothing_and_a_changed_query_makes_the_view_anew(market: Market) -> None:
    market.apply()
    oid = market.query("SELECT 'market_data.ohlcv_daily'::regclass::oid")
    market.apply()
    assert market.query("SELECT 'market_data.ohlcv_daily'::regclass::oid") == oid
    market.path.write_text(YAML.replace("'X%'", "'Y%'"))
    market.apply()
    assert market.query(ROWS) == [(91,)]


def test_substitutes_refresh_views_and_drop_old_chunks_once(market: Market) -> None:
    market.apply()
    market.run("INSERT INTO market_data.ohlcv VALUES ('MSFT', now(), 5)")
    refreshed, dropped = market.run_substitutes()
    assert refreshed == "market_data.ohlcv_daily: refreshed"
    assert market.query(ROWS) == [(91,)]
    assert dropped in {"market_data.ohlcv: 4 chunks dropped", "market_data.ohlcv: 3 chunks dropped"}
    oldest = market.query(
        "SELECT min(timestamp) > now() - interval '68 days', min(timestamp) < now() - interval '59 days' FROM market_data.ohlcv"
    )
    assert oldest == [(True, True)]
    assert market.run_substitutes()[1] == "market_data.ohlcv: 0 chunks dropped"


def test_an_aggregate_that_is_declared_no_longer_stays_and_is_named(market: Market) -> None:
    assert market.apply().left == ()
    market.path.write_text(YAML.partition("aggregates:")[0])
    assert market.apply().left == ("market_data.ohlcv_daily",)
    assert market.query(ROWS) == [(90,)]
    market.run("DROP MATERIALIZED VIEW market_data.ohlcv_daily")
    assert market.apply().left == ()


def test_policies_that_are_declared_no_longer_are_removed(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.path.write_text("hypertables: {}\n")
    monkeypatch.setattr(policies, "timescale_edition", lambda _connection: "community")
    refused = "market_data.ohlcv: .*remove_compression_policy.* not supported under the current .apache. license"
    with pytest.raises(MigrationError, match=refused):  # which shows that the server was asked to
        market.apply()


def test_a_plain_table_is_named(market: Market) -> None:
    market.path.write_text(YAML.replace("  market_data.ohlcv:\n", "  market_data.quotes:\n"))
    with pytest.raises(
        MigrationError, match=r"timescale.yaml: market_data.quotes is no hypertable of 'svc\d+'; make it one"
    ):
        market.apply()


def test_a_table_in_the_way_is_neither_dropped_nor_used(market: Market) -> None:
    market.run("CREATE TABLE market_data.ohlcv_daily AS SELECT 1 AS a")
    with pytest.raises(MigrationError, match=r"market_data.ohlcv_daily is there and was not made from timescale.yaml"):
        market.apply()
    assert market.query("SELECT a FROM market_data.ohlcv_daily") == [(1,)]


def test_a_view_that_others_use_is_not_torn_away(market: Market) -> None:
    market.apply()
    market.run("CREATE VIEW market_data.top AS SELECT * FROM market_data.ohlcv_daily")
    market.path.write_text(YAML.replace("'X%'", "'Y%'"))
    with pytest.raises(
        MigrationError, match=r"timescale.yaml: market_data.ohlcv_daily: cannot drop .* depend on it \(SQLSTATE 2BP01\)"
    ):
        market.apply()
    assert market.query(ROWS) == [(90,)]


def test_an_aggregate_that_the_server_refuses_is_named(market: Market) -> None:
    market.path.write_text(YAML.replace("max(price)", "max(cost)"))
    with pytest.raises(
        MigrationError,
        match=r'timescale.yaml: market_data.ohlcv_daily: column "cost" does not exist \(SQLSTATE 42703\)',
    ):
        market.apply()


def test_a_database_without_the_extension_is_named(database: Service, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=f"the database '{database.name}' has no TimescaleDB"):
        Market(database, tmp_path / "timescale.yaml").apply()
