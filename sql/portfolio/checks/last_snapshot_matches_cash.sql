-- A portfolio's latest snapshot has its cash, unless something was booked later.
SELECT portfolios.id, portfolios.cash_balance, latest.cash_balance AS snapshot_cash, latest.snapshot_date
FROM portfolios
CROSS JOIN LATERAL (
    SELECT snapshot_date, cash_balance
    FROM portfolio_snapshots
    WHERE portfolio_id = portfolios.id
    ORDER BY snapshot_date DESC
    LIMIT 1
) AS latest
WHERE latest.cash_balance <> portfolios.cash_balance
  AND NOT EXISTS (
      SELECT FROM transactions WHERE portfolio_id = portfolios.id AND (executed_at AT TIME ZONE 'UTC')::date > latest.snapshot_date
  );
