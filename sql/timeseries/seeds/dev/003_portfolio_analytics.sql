-- The value of each portfolio at the close of each day: its cash and what it holds, from the trading events and the prices.
INSERT INTO analytics_ts.portfolio_snapshots (time, portfolio_id, user_id, total_value, cash_balance)
SELECT
    closes.time,
    portfolio_id,
    user_id,
    sum((details ->> 'amount')::numeric)
        + COALESCE(sum(CASE details ->> 'side' WHEN 'buy' THEN quantity WHEN 'sell' THEN -quantity END * stock_prices.price), 0),
    sum((details ->> 'amount')::numeric)
FROM (
    SELECT time
    FROM market_data.stock_prices
    WHERE symbol = 'SPY' AND extract(hour FROM time AT TIME ZONE 'UTC') = 21
) AS closes
JOIN events.trading_events ON trading_events.time <= closes.time
LEFT JOIN market_data.stock_prices ON stock_prices.symbol = trading_events.symbol AND stock_prices.time = closes.time
GROUP BY closes.time, portfolio_id, user_id
ON CONFLICT (portfolio_id, time) DO NOTHING;

-- Over the last twenty trading days: yearly volatility of the daily returns without deposits and withdrawals, and the deepest fall.
INSERT INTO analytics_ts.risk_metrics (time, portfolio_id, metric, value, window_days)
SELECT time, portfolio_id, metric, round(value, 8), 20
FROM (
    SELECT
        time,
        portfolio_id,
        stddev_samp(daily_return) OVER twenty * sqrt(252::numeric) AS volatility,
        GREATEST(1 - growth / max(growth) OVER twenty, 0) AS drawdown,
        count(daily_return) OVER twenty AS days
    FROM (
        SELECT time, portfolio_id, daily_return, exp(sum(ln(1 + COALESCE(daily_return, 0))) OVER (PARTITION BY portfolio_id ORDER BY time)) AS growth
        FROM (
            SELECT
                portfolio_snapshots.time,
                portfolio_snapshots.portfolio_id,
                (total_value - COALESCE(flows.amount, 0)) / lag(total_value) OVER (PARTITION BY portfolio_snapshots.portfolio_id ORDER BY portfolio_snapshots.time) - 1 AS daily_return
            FROM analytics_ts.portfolio_snapshots
            LEFT JOIN (
                SELECT portfolio_id, time, sum((details ->> 'amount')::numeric) AS amount
                FROM events.trading_events
                WHERE event_type IN ('deposit', 'withdrawal')
                GROUP BY portfolio_id, time
            ) AS flows ON flows.portfolio_id = portfolio_snapshots.portfolio_id AND flows.time = portfolio_snapshots.time
        ) AS returns
    ) AS grown
    WINDOW twenty AS (PARTITION BY portfolio_id ORDER BY time ROWS 19 PRECEDING)
) AS measured
CROSS JOIN LATERAL (VALUES ('volatility', volatility), ('max_drawdown', drawdown)) AS listed (metric, value)
WHERE days = 20
ON CONFLICT (portfolio_id, metric, window_days, time) DO NOTHING;
