INSERT INTO strategies.strategies (id, name, version, description, parameters, symbols, status, created_at)
VALUES
    ('57000000-0000-4000-8000-000000000004', 'sma_cross', 2, 'The second version, with a longer average', '{"period": 50}', '{AAPL,NVDA,SPY}', 'paused', '2026-11-01 00:00Z')
ON CONFLICT (name, version) DO NOTHING;

INSERT INTO strategies.backtests (id, strategy_id, period, starting_cash, ending_value, max_drawdown, sharpe_ratio, trades_count, created_at)
VALUES
    (md5('backtest demo')::uuid, '57000000-0000-4000-8000-000000000004', '[2025-01-01,2026-01-01)', 100000, 114800, 0.062, 1.37, 12, '2026-11-02 00:00Z')
ON CONFLICT (id) DO NOTHING;
