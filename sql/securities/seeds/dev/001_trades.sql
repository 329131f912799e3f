-- Twenty trades in each of twelve securities on the afternoon of 2026-11-20.
INSERT INTO trades (trade_id, symbol, executed_at, price, size, venue)
SELECT
    n * 1000 + trade,
    symbol,
    TIMESTAMPTZ '2026-11-20 14:00Z' + (trade * 20 + n) * INTERVAL '1 minute',
    round((base * (1 + 0.1 * sin(t / 23 + n) + 0.025 * sin(t / 3.1 + 2 * n) + 0.0008 * t))::numeric, 2),
    100 * (1 + (n * 7 + trade * 3) % 12),
    (ARRAY['XNAS', 'XNYS', 'ARCX', 'BATS'])[1 + (n + trade) % 4]
FROM (VALUES
    (1, 'AAPL', 228.00), (2, 'MSFT', 430.00), (3, 'GOOGL', 176.00), (4, 'AMZN', 205.00),
    (5, 'NVDA', 138.00), (6, 'META', 585.00), (7, 'TSLA', 330.00), (8, 'JPM', 245.00),
    (9, 'JNJ', 155.00), (10, 'XOM', 120.00), (11, 'SPY', 590.00), (12, 'BND', 73.00)
) AS listed (n, symbol, base)
CROSS JOIN generate_series(1, 20) AS trade
CROSS JOIN LATERAL (SELECT 123 + 14 / 24.0::float8 + (trade * 20 + n) / 1440.0::float8 AS t) AS moment
ON CONFLICT (symbol, executed_at, trade_id) DO NOTHING;
