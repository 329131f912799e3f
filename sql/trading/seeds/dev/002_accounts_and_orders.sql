INSERT INTO trading_accounts (id, user_id, name, account_type, opening_cash, created_at)
VALUES
    ('a0000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111', 'Paper', 'paper', 100000, '2026-07-01 09:00Z'),
    ('a0000000-0000-4000-8000-000000000002', '22222222-2222-4222-8222-222222222222', 'Paper', 'paper', 50000, '2026-07-02 09:00Z'),
    ('a0000000-0000-4000-8000-000000000003', '33333333-3333-4333-8333-333333333333', 'Live', 'live', 25000, '2026-07-03 09:00Z')
ON CONFLICT (id) DO NOTHING;

-- A filled order is filled at the close of its day, in two halves where the quantity is over 50.
INSERT INTO orders (id, account_id, client_order_id, symbol, side, order_type, quantity, limit_price, status, submitted_at, closed_at)
SELECT
    md5('order ' || n)::uuid,
    ('a0000000-0000-4000-8000-00000000000' || account)::uuid,
    'seed-' || n,
    symbol,
    side,
    CASE WHEN limit_price IS NULL THEN 'market' ELSE 'limit' END,
    quantity,
    limit_price,
    status,
    day + TIME '20:30' AT TIME ZONE 'UTC',
    CASE WHEN status IN ('filled', 'cancelled') THEN day + TIME '21:00' AT TIME ZONE 'UTC' END
FROM (VALUES
    (1, 1, DATE '2026-07-21', 'AAPL', 'buy', 60, NULL, 'filled'),
    (2, 1, DATE '2026-07-28', 'NVDA', 'buy', 100, NULL, 'filled'),
    (3, 1, DATE '2026-09-15', 'NVDA', 'sell', 40, NULL, 'filled'),
    (4, 1, DATE '2026-10-06', 'TSLA', 'buy', 20, 150.00, 'cancelled'),
    (5, 1, DATE '2026-11-20', 'AMZN', 'buy', 10, 120.00, 'accepted'),
    (6, 2, DATE '2026-07-22', 'SPY', 'buy', 30, NULL, 'filled'),
    (7, 2, DATE '2026-08-19', 'BND', 'buy', 200, NULL, 'filled'),
    (8, 2, DATE '2026-11-03', 'BND', 'sell', 50, NULL, 'filled'),
    (9, 3, DATE '2026-08-03', 'JNJ', 'buy', 40, NULL, 'filled'),
    (10, 3, DATE '2026-10-20', 'JNJ', 'sell', 40, NULL, 'filled'),
    (11, 3, DATE '2026-11-20', 'XOM', 'buy', 25, 90.00, 'new')
) AS sent (n, account, day, symbol, side, quantity, limit_price, status)
ON CONFLICT (id) DO NOTHING;

INSERT INTO fills (id, order_id, quantity, price, commission, executed_at)
SELECT
    md5(orders.id || ' fill ' || part)::uuid,
    orders.id,
    orders.quantity / parts,
    ohlcv.close,
    1.00,
    orders.closed_at
FROM orders
JOIN ohlcv ON ohlcv.symbol = orders.symbol
    AND ohlcv.timeframe = '1d'
    AND ohlcv."timestamp" = date_trunc('day', orders.submitted_at, 'UTC')
CROSS JOIN LATERAL (SELECT CASE WHEN orders.quantity > 50 THEN 2 ELSE 1 END AS parts) AS split
CROSS JOIN LATERAL generate_series(1, parts) AS part
WHERE orders.status = 'filled'
  AND orders.client_order_id LIKE 'seed-%'
ON CONFLICT (id) DO NOTHING;
