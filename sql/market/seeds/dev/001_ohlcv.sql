-- Hourly bars, 14:00 … 20:00 UTC, of the 90 weekdays 2026-07-20 … 2026-11-20. The price of a symbol at any moment is
-- base · (1 + 0.1 sin(d/23 + n) + 0.025 sin(d/3.1 + 2n) + 0.0008 d), d being the days since 2026-07-20 00:00 UTC;
-- trading, timeseries and portfolio use the same, so that closes and trades agree.
INSERT INTO market_data.ohlcv
    (id, symbol, "timestamp", open, high, low, close, volume, vwap, trades_count, timeframe, source, created_at, updated_at)
SELECT
    md5(symbol || ' ' || d || ' ' || hour)::uuid,
    symbol,
    start,
    open,
    high,
    low,
    close,
    volume,
    round((high + low + close) / 3, 4),
    volume / 150,
    '1h',
    'seed',
    start + INTERVAL '1 hour',
    start + INTERVAL '1 hour'
FROM (VALUES
    (1, 'AAPL', 228.00), (2, 'MSFT', 430.00), (3, 'GOOGL', 176.00), (4, 'AMZN', 205.00),
    (5, 'NVDA', 138.00), (6, 'META', 585.00), (7, 'TSLA', 330.00), (8, 'JPM', 245.00),
    (9, 'JNJ', 155.00), (10, 'XOM', 120.00), (11, 'SPY', 590.00), (12, 'BND', 73.00)
) AS listed (n, symbol, base)
CROSS JOIN generate_series(0, 123) AS d
CROSS JOIN generate_series(14, 20) AS hour
CROSS JOIN LATERAL (
    SELECT
        TIMESTAMPTZ '2026-07-20 00:00Z' + d * INTERVAL '1 day' + hour * INTERVAL '1 hour' AS start,
        d + hour / 24.0::float8 AS t,
        d + (hour + 1) / 24.0::float8 AS u
) AS moment
CROSS JOIN LATERAL (
    SELECT
        round((base * (1 + 0.1 * sin(t / 23 + n) + 0.025 * sin(t / 3.1 + 2 * n) + 0.0008 * t))::numeric, 2) AS open,
        round((base * (1 + 0.1 * sin(u / 23 + n) + 0.025 * sin(u / 3.1 + 2 * n) + 0.0008 * u))::numeric, 2) AS close,
        150000 + (n * 7919 + d * 104729 + hour * 1299709) % 1350000 AS volume
) AS priced
CROSS JOIN LATERAL (
    SELECT round(GREATEST(open, close) * 1.003, 2) AS high, round(LEAST(open, close) * 0.997, 2) AS low
) AS extremes
WHERE extract(isodow FROM start AT TIME ZONE 'UTC') < 6
ON CONFLICT (symbol, "timestamp") DO NOTHING;
