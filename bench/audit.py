"""What the audit trail costs those who write: rows a second into a table with its triggers, and without.

Usage: python -m bench.audit [--runs N] [--rows N]

Prints a table in Markdown: medians over the runs, in rows a second, of one session of the application (row-level security
included) on a PostgreSQL that the run starts for itself, with the durability that PostgreSQL has by default. In each run both ways have
their turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.machine import load, machine
from bench.migrations import SERVER
from tests import servers
from tests.product import ALICE, as_application, database
from tests.services import Service

ROWS = 2000
TABLE = "transactions"
_INSERT = """
    INSERT INTO transactions (portfolio_id, transaction_type, symbol, quantity, price, amount, executed_at)
    SELECT %(portfolio)s, 'buy', 'ACME', n, 10, -10 * n, now() FROM generate_series(1, %(rows)s) AS n RETURNING id
"""
_UPDATE = "UPDATE transactions SET notes = clock_timestamp()::text WHERE id = ANY(%s)"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=ROWS)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="keelson-bench-") as folder,
        servers.running(Path(folder), SERVER) as server,
        database(server, "portfolio") as portfolio,
    ):
        found = _measure(portfolio, arguments.runs, arguments.rows)
        size = _size(portfolio)
    print("| rows a second | without | with the trail | times as long |\n|---|---|---|---|")
    for name, (without, with_trail) in found.items():
        print(f"| {name} | {without:,.0f} | {with_trail:,.0f} | {without / with_trail:.1f} |")
    print(
        f"\n{size:.0f} bytes of the trail for a change; {machine()}; load average {load()}; medians of {arguments.runs} runs"
    )


def _measure(portfolio: Service, runs: int, rows: int) -> dict[str, tuple[float, float]]:
    """Return {what is done: (rows a second without, with)}."""
    speeds: dict[tuple[str, bool], list[float]] = {}
    with portfolio.as_admin() as admin, as_application(portfolio, ALICE) as session:
        (its_portfolio, *_), *_ = session.execute("SELECT id FROM portfolios").fetchall()  # of the seeds of dev
        for _ in range(runs):
            for audited in (False, True):
                admin.execute(f"ALTER TABLE {TABLE} {'ENABLE' if audited else 'DISABLE'} TRIGGER audit")
                for name, speed in _speeds(session, its_portfolio, rows).items():
                    speeds.setdefault((name, audited), []).append(speed)
    medians = {key: statistics.median(found) for key, found in speeds.items()}
    return {name: (medians[name, False], medians[name, True]) for name, _ in medians}


def _speeds(session: psycopg.Connection, portfolio: object, rows: int) -> dict[str, float]:
    def insert(number: int) -> list[object]:
        return [each for (each,) in session.execute(_INSERT, {"portfolio": portfolio, "rows": number}).fetchall()]

    few = max(1, rows // 10)
    ids: list[object] = []
    return {
        "insert, a transaction for each row": _per_second(few, lambda: [insert(1) for _ in range(few)]),
        "insert, all in one": _per_second(rows, lambda: ids.extend(insert(rows))),
        "update, a transaction for each row": _per_second(
            few, lambda: [session.execute(_UPDATE, [[each]]) for each in ids[:few]]
        ),
        "update, all in one": _per_second(rows, lambda: session.execute(_UPDATE, [ids])),
    }


def _per_second(rows: int, work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return rows / (time.monotonic() - began)


def _size(portfolio: Service) -> float:
    """Return how many bytes the trail has for a change, indexes included."""
    query = """
        SELECT (pg_total_relation_size('audit.entries') + pg_total_relation_size('audit.details'))::float8 / count(*) FROM audit.entries
    """
    with portfolio.as_admin() as admin:
        ((size,),) = admin.execute(query).fetchall()
    return float(size)


if __name__ == "__main__":
    main()
