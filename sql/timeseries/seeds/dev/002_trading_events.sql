-- What the dev seeds of portfolio book as transactions, as events.
INSERT INTO events.trading_events (time, id, user_id, portfolio_id, event_type, symbol, quantity, price, details)
SELECT
    moment,
    md5('transaction ' || n)::uuid,
    (ARRAY['11111111-1111-4111-8111-111111111111', '11111111-1111-4111-8111-111111111111',
        '22222222-2222-4222-8222-222222222222', '33333333-3333-4333-8333-333333333333'])[portfolio]::uuid,
    ('b0000000-0000-4000-8000-00000000000' || portfolio)::uuid,
    CASE WHEN quantity IS NULL THEN kind ELSE 'order_filled' END,
    booked.symbol,
    quantity,
    price,
    CASE kind
        WHEN 'buy' THEN jsonb_build_object('side', kind, 'amount', -quantity * price - 1)
        WHEN 'sell' THEN jsonb_build_object('side', kind, 'amount', quantity * price - 1)
        ELSE jsonb_build_object('amount', cash)
    END
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
CROSS JOIN LATERAL (SELECT (day + TIME '21:00') AT TIME ZONE 'UTC' AS moment) AS at
LEFT JOIN market_data.stock_prices
    ON stock_prices.symbol = booked.symbol AND stock_prices.time = moment AND kind IN ('buy', 'sell')
ON CONFLICT (id, time) DO NOTHING;
