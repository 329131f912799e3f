-- A paper portfolio to show: a plan with goals and rules, and no trades yet.
INSERT INTO portfolios (id, user_id, name, description, portfolio_type, cash_balance, benchmark_id, created_at)
SELECT 'b0000000-0000-4000-8000-000000000201', '11111111-1111-4111-8111-111111111111', 'Demo', 'To try things out', 'paper', 10000, id, '2026-11-19 09:00Z'
FROM benchmarks
WHERE symbol = 'SPX'
ON CONFLICT (id) DO NOTHING;

INSERT INTO transactions (id, portfolio_id, transaction_type, amount, executed_at, notes)
VALUES (md5('demo deposit')::uuid, 'b0000000-0000-4000-8000-000000000201', 'deposit', 10000, '2026-11-19 09:00Z', 'Starting cash')
ON CONFLICT (id) DO NOTHING;

INSERT INTO allocation_rules (id, portfolio_id, asset_class, target_percent, min_percent, max_percent)
VALUES
    (md5('demo rule 1')::uuid, 'b0000000-0000-4000-8000-000000000201', 'etf', 60, 50, 70),
    (md5('demo rule 2')::uuid, 'b0000000-0000-4000-8000-000000000201', 'bond', 40, 30, 50)
ON CONFLICT (portfolio_id, asset_class) DO NOTHING;
