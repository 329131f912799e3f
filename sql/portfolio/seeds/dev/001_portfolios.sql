-- Closes of the 90 weekdays 2026-07-20 … 2026-11-20. The price of a symbol at any moment is
-- base · (1 + 0.1 sin(d/23 + n) + 0.025 sin(d/3.1 + 2n) + 0.0008 d), d being the days since 2026-07-20 00:00 UTC;
-- market, timeseries and trading use the same, so that closes and trades agree. Markets close at 21:00 UTC.
CREATE TEMPORARY TABLE seed_closes AS
SELECT
    symbol,
    asset_class,
    DATE '2026-07-20' + d AS day,
    round((base * (1 + 0.1 * sin(t / 23 + n) + 0.025 * sin(t / 3.1 + 2 * n) + 0.0008 * t))::numeric, 2) AS close
FROM (VALUES
    (1, 'AAPL', 228.00, 'equity'), (2, 'MSFT', 430.00, 'equity'), (5, 'NVDA', 138.00, 'equity'), (8, 'JPM', 245.00, 'equity'),
    (9, 'JNJ', 155.00, 'equity'), (10, 'XOM', 120.00, 'equity'), (11, 'SPY', 590.00, 'etf'), (12, 'BND', 73.00, 'bond')
) AS listed (n, symbol, base, asset_class)
CROSS JOIN generate_series(0, 123) AS d
CROSS JOIN LATERAL (SELECT d + 21 / 24.0::float8 AS t) AS moment
WHERE extract(isodow FROM DATE '2026-07-20' + d) < 6;

INSERT INTO portfolios (id, user_id, name, description, portfolio_type, benchmark_id, is_default, created_at)
SELECT
    ('b0000000-0000-4000-8000-00000000000' || n)::uuid,
    user_id::uuid,
    opened.name,
    opened.description,
    kind,
    benchmarks.id,
    is_default,
    opened_at
FROM (VALUES
    (1, '11111111-1111-4111-8111-111111111111', 'Growth', 'Large technology companies', 'investment', 'NDX', TRUE, TIMESTAMPTZ '2026-07-20 08:00Z'),
    (2, '11111111-1111-4111-8111-111111111111', 'Retirement', 'Shares and bonds, held long', 'retirement', 'SPX', FALSE, TIMESTAMPTZ '2026-07-20 08:05Z'),
    (3, '22222222-2222-4222-8222-222222222222', 'Income', 'Companies that pay dividends', 'investment', 'DJI', TRUE, TIMESTAMPTZ '2026-07-20 09:00Z'),
    (4, '33333333-3333-4333-8333-333333333333', 'Index', NULL, 'investment', 'SPX', TRUE, TIMESTAMPTZ '2026-07-27 07:00Z')
) AS opened (n, user_id, name, description, kind, benchmark, is_default, opened_at)
JOIN benchmarks ON benchmarks.symbol = opened.benchmark
ON CONFLICT (id) DO NOTHING;

INSERT INTO transactions
    (id, portfolio_id, transaction_type, symbol, quantity, price, fees, amount, executed_at, external_id, created_at, updated_at)
SELECT
    md5('transaction ' || n)::uuid,
    ('b0000000-0000-4000-8000-00000000000' || portfolio)::uuid,
    kind,
    symbol,
    quantity,
    close,
    fees,
    CASE kind
        WHEN 'buy' THEN -quantity * close - fees
        WHEN 'sell' THEN quantity * close - fees
        ELSE cash
    END,
    executed_at,
    'seed-' || n,
    executed_at,
    executed_at
FROM (VALUES
    (1, 1, DATE '2026-07-20', 'deposit', NULL, NULL, 100000.00),
    (2, 1, DATE '2026-07-21', 'buy', 'AAPL', 100, NULL),
    (3, 1, DATE '2026-07-21', 'buy', 'MSFT', 60, NULL),
    (4, 1, DATE '2026-08-05', 'buy', 'NVDA', 150, NULL),
    (5, 1, DATE '2026-08-24', 'buy', 'AAPL', 20, NULL),
    (6, 1, DATE '2026-09-10', 'dividend', 'MSFT', NULL, 54.60),
    (7, 1, DATE '2026-10-08', 'sell', 'AAPL', 40, NULL),
    (8, 1, DATE '2026-10-15', 'fee', NULL, NULL, -12.50),
    (9, 1, DATE '2026-11-02', 'withdrawal', NULL, NULL, -5000.00),
    (10, 2, DATE '2026-07-20', 'deposit', NULL, NULL, 50000.00),
    (11, 2, DATE '2026-07-22', 'buy', 'SPY', 40, NULL),
    (12, 2, DATE '2026-07-22', 'buy', 'BND', 200, NULL),
    (13, 2, DATE '2026-09-01', 'deposit', NULL, NULL, 5000.00),
    (14, 2, DATE '2026-09-02', 'buy', 'BND', 50, NULL),
    (15, 2, DATE '2026-10-05', 'dividend', 'BND', NULL, 60.25),
    (16, 3, DATE '2026-07-20', 'deposit', NULL, NULL, 80000.00),
    (17, 3, DATE '2026-07-23', 'buy', 'JNJ', 150, NULL),
    (18, 3, DATE '2026-07-23', 'buy', 'XOM', 200, NULL),
    (19, 3, DATE '2026-08-12', 'buy', 'JPM', 60, NULL),
    (20, 3, DATE '2026-09-08', 'dividend', 'JNJ', NULL, 195.00),
    (21, 3, DATE '2026-09-10', 'dividend', 'XOM', NULL, 198.00),
    (22, 3, DATE '2026-10-20', 'sell', 'XOM', 100, NULL),
    (23, 3, DATE '2026-10-30', 'fee', NULL, NULL, -9.99),
    (24, 4, DATE '2026-07-27', 'deposit', NULL, NULL, 30000.00),
    (25, 4, DATE '2026-07-28', 'buy', 'SPY', 30, NULL),
    (26, 4, DATE '2026-08-31', 'buy', 'BND', 100, NULL),
    (27, 4, DATE '2026-10-26', 'sell', 'BND', 100, NULL),
    (28, 4, DATE '2026-11-16', 'withdrawal', NULL, NULL, -1000.00)
) AS booked (n, portfolio, day, kind, symbol, quantity, cash)
CROSS JOIN LATERAL (
    SELECT
        (day + TIME '21:00') AT TIME ZONE 'UTC' AS executed_at,
        CASE WHEN kind IN ('buy', 'sell') THEN 1.00 ELSE 0 END AS fees
) AS costs
LEFT JOIN LATERAL (
    SELECT close FROM seed_closes WHERE seed_closes.symbol = booked.symbol AND seed_closes.day = booked.day AND kind IN ('buy', 'sell')
) AS traded ON TRUE
ON CONFLICT (id) DO NOTHING;

-- All purchases of a symbol come before its sales, so that the average cost is the average of the purchases.
INSERT INTO holdings (id, portfolio_id, symbol, asset_class, quantity, average_cost, opened_at, created_at)
SELECT
    md5(portfolio_id || ' ' || symbol)::uuid,
    portfolio_id,
    symbol,
    (SELECT asset_class FROM seed_closes WHERE seed_closes.symbol = transactions.symbol LIMIT 1),
    sum(CASE transaction_type WHEN 'buy' THEN quantity ELSE -quantity END),
    round(sum(quantity * price) FILTER (WHERE transaction_type = 'buy') / sum(quantity) FILTER (WHERE transaction_type = 'buy'), 8),
    min(executed_at),
    min(executed_at)
FROM transactions
WHERE transaction_type IN ('buy', 'sell')
  AND external_id LIKE 'seed-%'
GROUP BY portfolio_id, symbol
HAVING sum(CASE transaction_type WHEN 'buy' THEN quantity ELSE -quantity END) > 0
ON CONFLICT (portfolio_id, symbol) DO NOTHING;

UPDATE portfolios
SET cash_balance = booked.cash
FROM (SELECT portfolio_id, sum(amount) AS cash FROM transactions GROUP BY portfolio_id) AS booked
WHERE portfolios.id = booked.portfolio_id
  AND portfolios.id IN (SELECT ('b0000000-0000-4000-8000-00000000000' || n)::uuid FROM generate_series(1, 4) AS n)
  AND portfolios.cash_balance <> booked.cash;

INSERT INTO portfolio_snapshots (id, portfolio_id, snapshot_date, total_value, cash_balance, net_deposits, daily_return, created_at)
SELECT
    md5(portfolio_id || ' ' || day)::uuid,
    portfolio_id,
    day,
    total_value,
    cash,
    net_deposits,
    round((total_value - net_deposits + lag(net_deposits) OVER days) / lag(total_value) OVER days - 1, 8),
    (day + TIME '21:30') AT TIME ZONE 'UTC'
FROM (
    SELECT
        transactions.portfolio_id,
        days.day,
        sum(amount) AS cash,
        sum(amount) FILTER (WHERE transaction_type IN ('deposit', 'withdrawal')) AS net_deposits,
        sum(amount) + COALESCE(sum(CASE transaction_type WHEN 'buy' THEN quantity WHEN 'sell' THEN -quantity END * close), 0) AS total_value
    FROM (SELECT DISTINCT day FROM seed_closes) AS days
    JOIN transactions ON (executed_at AT TIME ZONE 'UTC')::date <= days.day
    LEFT JOIN seed_closes ON seed_closes.symbol = transactions.symbol AND seed_closes.day = days.day
    WHERE external_id LIKE 'seed-%'
    GROUP BY transactions.portfolio_id, days.day
) AS valued
WINDOW days AS (PARTITION BY portfolio_id ORDER BY day)
ON CONFLICT (portfolio_id, snapshot_date) DO NOTHING;

DROP TABLE seed_closes;
