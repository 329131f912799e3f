-- Daily bars of the 90 weekdays 2026-07-20 … 2026-11-20. The price of a symbol at any moment is
-- base · (1 + 0.1 sin(d/23 + n) + 0.025 sin(d/3.1 + 2n) + 0.0008 d), d being the days since 2026-07-20 00:00 UTC;
-- market, timeseries and portfolio use the same, so that closes and trades agree.
INSERT INTO ohlcv (symbol, timeframe, "timestamp", open, high, low, close, volume, source)
SELECT
    symbol,
    '1d',
    day AT TIME ZONE 'UTC',
    open,
    round(GREATEST(open, close) * 1.006, 2),
    round(LEAST(open, close) * 0.994, 2),
    close,
    1000000 + (n * 7919 + d * 104729) % 9000000,
    'seed'
FROM (VALUES
    (1, 'AAPL', 228.00), (2, 'MSFT', 430.00), (3, 'GOOGL', 176.00), (4, 'AMZN', 205.00),
    (5, 'NVDA', 138.00), (6, 'META', 585.00), (7, 'TSLA', 330.00), (8, 'JPM', 245.00),
    (9, 'JNJ', 155.00), (10, 'XOM', 120.00), (11, 'SPY', 590.00), (12, 'BND', 73.00)
) AS listed (n, symbol, base)
CROSS JOIN LATERAL (
    SELECT DATE '2026-07-20' + d AS date, (DATE '2026-07-20' + d)::timestamp AS day, d
    FROM generate_series(0, 123) AS d
    WHERE extract(isodow FROM DATE '2026-07-20' + d) < 6
) AS days
CROSS JOIN LATERAL (
    SELECT
        max(price) FILTER (WHERE hour = 14) AS open,
        max(price) FILTER (WHERE hour = 21) AS close
    FROM unnest(ARRAY[14, 21]) AS hour
    CROSS JOIN LATERAL (SELECT d + hour / 24.0::float8 AS t) AS moment
    CROSS JOIN LATERAL (
        SELECT round((base * (1 + 0.1 * sin(t / 23 + n) + 0.025 * sin(t / 3.1 + 2 * n) + 0.0008 * t))::numeric, 2) AS price
    ) AS priced
) AS bar
ON CONFLICT (symbol, timeframe, "timestamp") DO NOTHING;

INSERT INTO ohlcv_metadata (symbol, timeframe, first_bar_at, last_bar_at, bar_count, source, last_synced_at)
SELECT symbol, timeframe, min("timestamp"), max("timestamp"), count(*), 'seed', TIMESTAMPTZ '2026-11-20 21:05Z'
FROM ohlcv
GROUP BY symbol, timeframe
ON CONFLICT (symbol, timeframe) DO NOTHING;
