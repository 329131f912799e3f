"""The queries that ship run, and answer what they are for."""

from __future__ import annotations

import pytest

from tests.sql import project

QUERIES = sorted(project.SQL.glob("*/queries/*.sql"))


def named(path):
    return str(path.relative_to(project.SQL))


def answer(stack_databases, path):
    with stack_databases(path.parts[-3]) as connection:
        if path.read_text(encoding="utf-8").startswith("-- Edition: community"):
            edition = connection.execute("SHOW timescaledb.license").fetchone()[0]
            if edition == "apache":
                pytest.skip("TimescaleDB's Apache edition has no compression")
        with connection.transaction(force_rollback=True):
            cursor = project.run(connection, path)
            return [column.name for column in cursor.description], cursor.fetchall()


@pytest.mark.parametrize("path", QUERIES, ids=named)
def test_query_runs(stack_databases, path):
    columns, _ = answer(stack_databases, path)
    assert columns


def of(stack_databases, name):
    columns, rows = answer(stack_databases, project.SQL / name)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_latest_price_is_of_the_last_hour(stack_databases):
    (row,) = of(stack_databases, "market/queries/latest_price.sql")
    assert str(row["timestamp"].astimezone(tz=None).date()) >= "2026-11-20"


def test_sizes_of_hypertables_are_those_of_their_chunks(stack_databases):
    sizes = {
        (row["schemaname"], row["tablename"]): row["size"]
        for row in of(stack_databases, "market/queries/table_sizes.sql")
    }
    assert sizes["market_data", "ohlcv"] != "0 bytes"


def test_chunks_have_sizes_and_ranges_of_seven_days(stack_databases):
    chunks = of(stack_databases, "market/queries/chunk_information.sql")
    assert len(chunks) >= 18
    assert {(row["range_end"] - row["range_start"]).days for row in chunks} == {7}
    assert all(row["size"] for row in chunks)


def test_gaps_begin_after_the_last_bar(stack_databases):
    assert [
        row
        for row in of(stack_databases, "market/queries/gap_detection.sql")
        if str(row["trading_date"]) <= "2026-11-20"
    ] == []


def test_signals_are_found_by_what_is_in_them(stack_databases):
    found = of(stack_databases, "signals/queries/signals_by_data.sql")
    assert found
    assert {row["signal_data"]["product"] for row in found} == {"Widget A"}


def test_search_in_signal_data_uses_its_index(stack_databases):
    query = (project.SQL / "signals/queries/signals_by_data.sql").read_text(encoding="utf-8")
    with stack_databases("signals") as connection, connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + query))
    assert "idx_signals_data" in plan
