from __future__ import annotations

from pathlib import Path

import postgast
import pytest

from keelson.errors import KeelsonError
from keelson.timescale import Definition, read_definition, report, statements
from tests.test_layers import CHECKOUT

GOOD = """
hypertables:
  market_data.ohlcv:
    compression: {segment_by: [symbol], order_by: ["timestamp DESC"], after: 30 days}
    retention: {after: 2 years}
  market_data.quotes: {}
aggregates:
  market_data.ohlcv_daily:
    query: |
      SELECT symbol, time_bucket('1 day', timestamp) AS day, count(*) AS rows
      FROM market_data.ohlcv WHERE symbol NOT LIKE 'X%' GROUP BY symbol, day;
    refresh: {start_offset: 3 days, end_offset: 1 hour, every: 1 hour}
    unique: [symbol, day]
"""


def read(tmp_path: Path, text: str) -> Definition:
    (tmp_path / "timescale.yaml").write_text(text, encoding="utf-8")
    return read_definition(tmp_path / "timescale.yaml", tmp_path)


def test_a_definition_is_read(tmp_path: Path) -> None:
    definition = read(tmp_path, GOOD)
    assert definition.source == "timescale.yaml"
    assert definition.hypertables["market_data.ohlcv"].retention.after == "2 years"
    assert definition.aggregates["market_data.ohlcv_daily"].unique == ("symbol", "day")
    assert read(tmp_path, "").hypertables == {}


@pytest.mark.parametrize("path", sorted(CHECKOUT.glob("sql/*/timescale.yaml")), ids=lambda path: path.parent.name)
def test_the_projects_own_definitions_are_read(path: Path) -> None:
    assert read_definition(path, CHECKOUT).hypertables


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("after: 2 years", "afer: 2 years", "unknown setting 'hypertables.market_data.ohlcv.retention.afer'"),
        ("after: 2 years", "after: soon", "'hypertables.market_data.ohlcv.retention.after' is wrong"),
        ("after: 2 years", "after: 1 day'; DROP TABLE t; --", "not YAML|is wrong"),
        ("market_data.quotes: {}", "quotes: {}", "quotes"),
        ('["timestamp DESC"]', '["timestamp; DROP TABLE t"]', "order_by.0' is wrong"),
        ("unique: [symbol, day]", "unique: []", "unique' is wrong"),
        ("unique: [symbol, day]", "", "unique' is missing"),
        ("SELECT symbol, time", "SELEC symbol, time", r"aggregates.market_data.ohlcv_daily.query:1: syntax error"),
        ("GROUP BY symbol, day;", "GROUP BY symbol, day; DROP TABLE t", "must be one SELECT"),
        ("hypertables:", "hypertables: [", "timescale.yaml:.*not YAML"),
    ],
)
def test_a_fault_is_named_with_its_key(tmp_path: Path, old: str, new: str, what: str) -> None:
    with pytest.raises(KeelsonError, match=what) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith("timescale.yaml")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeelsonError, match=r"timescale.yaml cannot be read: No such file"):
        read_definition(tmp_path / "timescale.yaml", tmp_path)


def test_the_report_says_what_each_edition_does(tmp_path: Path) -> None:
    definition = read(tmp_path, GOOD)
    apache, community = report(definition, "apache"), report(definition, "community")
    assert apache.substituted == (
        "market_data.ohlcv: retention by drop_chunks",
        "market_data.ohlcv_daily: a materialized view",
    )
    assert apache.lacking == (
        "market_data.ohlcv: compression",
        "market_data.ohlcv_daily: rows older than the retention of market_data.ohlcv",
    )
    assert community.applied == (
        "market_data.ohlcv: compression",
        "market_data.ohlcv: retention",
        "market_data.ohlcv_daily: continuous",
    )
    assert (community.substituted, community.lacking) == ((), ())


def test_the_community_editions_statements_are_sql(tmp_path: Path) -> None:
    definition = read(tmp_path, GOOD)
    table, aggregate = definition.hypertables["market_data.ohlcv"], definition.aggregates["market_data.ohlcv_daily"]
    name = "market_data.ohlcv_daily"
    bound = [
        *statements.chunk_policies("market_data.ohlcv", table),
        statements.continuous_aggregate(name, aggregate),
        statements.mark_continuous(name, "mark"),
        *statements.refresh_policy(name, aggregate),
        statements.refresh_continuously(name),
    ]
    texts = [query.as_string().replace("%%", "%") for query, _ in bound]
    for text, (_, parameters) in zip(texts, bound, strict=True):
        assert text.count("%s") == len(parameters)
        postgast.parse(text.replace("%s", "'x'"))
    assert texts[0] == (
        'ALTER TABLE "market_data"."ohlcv" SET (timescaledb.compress, '
        "timescaledb.compress_segmentby = 'symbol', timescaledb.compress_orderby = 'timestamp DESC')"
    )
    assert ["2 years" in parameters for _, parameters in bound].count(True) == 1
    assert texts[5].startswith(
        'CREATE MATERIALIZED VIEW "market_data"."ohlcv_daily" WITH (timescaledb.continuous) AS SELECT'
    )
    assert texts[5].endswith("WITH NO DATA")
