-- An empty portfolio, a closed one, and one in another currency with fractions of a share.
INSERT INTO portfolios (id, user_id, name, portfolio_type, base_currency, cash_balance, closed_at, created_at)
VALUES
    ('b0000000-0000-4000-8000-000000000101', '33333333-3333-4333-8333-333333333333', 'Empty', 'paper', 'USD', 0, NULL, '2026-11-01 00:00Z'),
    ('b0000000-0000-4000-8000-000000000102', '33333333-3333-4333-8333-333333333333', 'Closed', 'investment', 'USD', 0, '2026-11-10 00:00Z', '2026-11-01 00:00Z'),
    ('b0000000-0000-4000-8000-000000000103', '33333333-3333-4333-8333-333333333333', 'Anteile "Ü"', 'education', 'EUR', 99.9999, NULL, '2026-11-01 00:00Z')
ON CONFLICT (id) DO NOTHING;

INSERT INTO transactions (id, portfolio_id, transaction_type, symbol, quantity, price, amount, currency, executed_at)
VALUES
    (md5('test deposit 1')::uuid, 'b0000000-0000-4000-8000-000000000102', 'deposit', NULL, NULL, NULL, 10, 'USD', '2026-11-02 00:00Z'),
    (md5('test withdrawal')::uuid, 'b0000000-0000-4000-8000-000000000102', 'withdrawal', NULL, NULL, NULL, -10, 'USD', '2026-11-09 00:00Z'),
    (md5('test deposit 2')::uuid, 'b0000000-0000-4000-8000-000000000103', 'deposit', NULL, NULL, NULL, 100, 'EUR', '2026-11-02 00:00Z'),
    (md5('test fraction')::uuid, 'b0000000-0000-4000-8000-000000000103', 'buy', 'BND', 0.00000123, 81.30081301, -0.0001, 'EUR', '2026-11-03 00:00Z')
ON CONFLICT (id) DO NOTHING;

INSERT INTO holdings (id, portfolio_id, symbol, asset_class, quantity, average_cost, opened_at)
VALUES (md5('test holding')::uuid, 'b0000000-0000-4000-8000-000000000103', 'BND', 'bond', 0.00000123, 81.30081301, '2026-11-03 00:00Z')
ON CONFLICT (portfolio_id, symbol) DO NOTHING;
