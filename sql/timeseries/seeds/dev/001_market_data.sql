-- Three prices a day, at 14:00, 17:00 and 21:00 UTC, on the 90 weekdays 2026-07-20 … 2026-11-20. The price of a symbol
-- at any moment is base · (1 + 0.1 sin(d/23 + n) + 0.025 sin(d/3.1 + 2n) + 0.0008 d), d being the days since
-- 2026-07-20 00:00 UTC; market, trading and portfolio use the same, so that closes and trades agree.
INSERT INTO market_data.stock_prices (time, symbol, exchange, price, bid, ask, volume, source)
SELECT
    TIMESTAMPTZ '2026-07-20 00:00Z' + d * INTERVAL '1 day' + hour * INTERVAL '1 hour',
    symbol,
    exchange,
    price,
    price - 0.01,
    price + 0.01,
    300000 + (n * 7919 + d * 104729 + hour * 1299709) % 2700000,
    'seed'
FROM (VALUES
    (1, 'AAPL', 228.00, 'XNAS'), (2, 'MSFT', 430.00, 'XNAS'), (3, 'GOOGL', 176.00, 'XNAS'), (4, 'AMZN', 205.00, 'XNAS'),
    (5, 'NVDA', 138.00, 'XNAS'), (6, 'META', 585.00, 'XNAS'), (7, 'TSLA', 330.00, 'XNAS'), (8, 'JPM', 245.00, 'XNYS'),
    (9, 'JNJ', 155.00, 'XNYS'), (10, 'XOM', 120.00, 'XNYS'), (11, 'SPY', 590.00, 'ARCX'), (12, 'BND', 73.00, 'XNAS')
) AS listed (n, symbol, base, exchange)
CROSS JOIN generate_series(0, 123) AS d
CROSS JOIN unnest(ARRAY[14, 17, 21]) AS hour
CROSS JOIN LATERAL (SELECT d + hour / 24.0::float8 AS t) AS moment
CROSS JOIN LATERAL (
    SELECT round((base * (1 + 0.1 * sin(t / 23 + n) + 0.025 * sin(t / 3.1 + 2 * n) + 0.0008 * t))::numeric, 2) AS price
) AS priced
WHERE extract(isodow FROM DATE '2026-07-20' + d) < 6
ON CONFLICT (symbol, time) DO NOTHING;

INSERT INTO market_data.market_indices (time, symbol, value, previous_close, source)
SELECT
    day + INTERVAL '21 hours',
    symbol,
    value,
    lag(value) OVER (PARTITION BY symbol ORDER BY day),
    'seed'
FROM (VALUES (11, 'SPX', 5900), (2, 'NDX', 20800), (8, 'DJI', 43800)) AS listed (n, symbol, base)
CROSS JOIN generate_series(0, 123) AS d
CROSS JOIN LATERAL (SELECT d + 21 / 24.0::float8 AS t) AS moment
CROSS JOIN LATERAL (
    SELECT
        TIMESTAMPTZ '2026-07-20 00:00Z' + d * INTERVAL '1 day' AS day,
        round((base * (1 + 0.1 * sin(t / 23 + n) + 0.025 * sin(t / 3.1 + 2 * n) + 0.0008 * t))::numeric, 2) AS value
) AS priced
WHERE extract(isodow FROM DATE '2026-07-20' + d) < 6
ON CONFLICT (symbol, time) DO NOTHING;

INSERT INTO market_data.currency_rates (time, base_currency, quote_currency, rate, source)
SELECT
    TIMESTAMPTZ '2026-07-20 21:00Z' + d * INTERVAL '1 day',
    base_currency,
    quote_currency,
    round((base * (1 + 0.02 * sin(d / 25.0::float8 + n)))::numeric, 6),
    'seed'
FROM (VALUES (1, 'EUR', 'USD', 1.08), (2, 'GBP', 'USD', 1.27), (3, 'USD', 'JPY', 151.2), (4, 'USD', 'CHF', 0.88))
    AS listed (n, base_currency, quote_currency, base)
CROSS JOIN generate_series(0, 123) AS d
WHERE extract(isodow FROM DATE '2026-07-20' + d) < 6
ON CONFLICT (base_currency, quote_currency, time) DO NOTHING;
