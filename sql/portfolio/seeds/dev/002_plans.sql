INSERT INTO watchlists (id, user_id, name, symbol, alert_above, alert_below, created_at)
SELECT md5('watch ' || n)::uuid, user_id::uuid, name, symbol, above, below, TIMESTAMPTZ '2026-08-01 09:00Z'
FROM (VALUES
    (1, '11111111-1111-4111-8111-111111111111', 'Technology', 'GOOGL', 230.00, 170.00),
    (2, '11111111-1111-4111-8111-111111111111', 'Technology', 'META', 600.00, NULL),
    (3, '11111111-1111-4111-8111-111111111111', 'Later', 'TSLA', NULL, NULL),
    (4, '22222222-2222-4222-8222-222222222222', 'Dividends', 'JNJ', NULL, 150.00),
    (5, '22222222-2222-4222-8222-222222222222', 'Dividends', 'JPM', 290.00, NULL),
    (6, '33333333-3333-4333-8333-333333333333', 'Funds', 'SPY', 720.00, 520.00)
) AS watched (n, user_id, name, symbol, above, below)
ON CONFLICT (user_id, name, symbol) DO NOTHING;

INSERT INTO portfolio_goals (id, portfolio_id, name, target_amount, target_date, status, achieved_at, created_at)
VALUES
    (md5('goal 1')::uuid, 'b0000000-0000-4000-8000-000000000001', 'House', 250000, '2032-06-30', 'active', NULL, '2026-07-20 08:10Z'),
    (md5('goal 2')::uuid, 'b0000000-0000-4000-8000-000000000002', 'Retire at 60', 900000, '2051-01-01', 'active', NULL, '2026-07-20 08:15Z'),
    (md5('goal 3')::uuid, 'b0000000-0000-4000-8000-000000000003', 'First dividend', 100, NULL, 'achieved', '2026-09-08 21:00Z', '2026-07-20 09:05Z'),
    (md5('goal 4')::uuid, 'b0000000-0000-4000-8000-000000000004', 'Reserve', 40000, '2028-12-31', 'active', NULL, '2026-07-27 07:10Z')
ON CONFLICT (portfolio_id, name) DO NOTHING;

INSERT INTO allocation_rules (id, portfolio_id, asset_class, target_percent, min_percent, max_percent, created_at)
SELECT
    md5('rule ' || portfolio || asset_class)::uuid,
    ('b0000000-0000-4000-8000-00000000000' || portfolio)::uuid,
    asset_class,
    target,
    GREATEST(target - 10, 0),
    LEAST(target + 10, 100),
    TIMESTAMPTZ '2026-07-27 10:00Z'
FROM (VALUES (1, 'equity', 90), (1, 'cash', 10), (2, 'etf', 55), (2, 'bond', 40), (2, 'cash', 5), (3, 'equity', 85), (3, 'cash', 15), (4, 'etf', 95), (4, 'cash', 5))
    AS ruled (portfolio, asset_class, target)
ON CONFLICT (portfolio_id, asset_class) DO NOTHING;
