INSERT INTO strategies.strategies (id, name, version, description, parameters, symbols, status, created_at)
VALUES
    ('57000000-0000-4000-8000-000000000002', 'sma_cross', 1, 'Holds while the price stands above its average', '{"period": 20}', '{AAPL,NVDA}', 'active', '2026-07-01 00:00Z'),
    ('57000000-0000-4000-8000-000000000003', 'mean_reversion', 1, NULL, '{"window": 5, "threshold": 0.03}', '{XOM,JNJ}', 'testing', '2026-08-01 00:00Z')
ON CONFLICT (name, version) DO NOTHING;

INSERT INTO strategies.backtests (id, strategy_id, period, starting_cash, ending_value, max_drawdown, sharpe_ratio, trades_count, created_at)
VALUES
    (md5('backtest 1')::uuid, '57000000-0000-4000-8000-000000000002', '[2025-01-01,2026-01-01)', 100000, 109250, 0.071, 1.12, 34, '2026-07-02 00:00Z'),
    (md5('backtest 2')::uuid, '57000000-0000-4000-8000-000000000003', '[2025-01-01,2026-01-01)', 100000, 103400, 0.048, 0.64, 81, '2026-08-02 00:00Z')
ON CONFLICT (id) DO NOTHING;

INSERT INTO strategies.strategy_signals (id, strategy_id, symbol, direction, strength, generated_at, created_at)
SELECT md5('strategy signal ' || n)::uuid, '57000000-0000-4000-8000-000000000002', symbol, direction, strength, at, at
FROM (VALUES
    (1, 'AAPL', 'long', 0.8, TIMESTAMPTZ '2026-09-01 20:00Z'),
    (2, 'NVDA', 'long', 0.6, TIMESTAMPTZ '2026-09-02 20:00Z'),
    (3, 'AAPL', 'flat', 0.9, TIMESTAMPTZ '2026-11-02 20:00Z')
) AS generated (n, symbol, direction, strength, at)
ON CONFLICT (id) DO NOTHING;

-- One order for each signal, filled at the close of its bar.
INSERT INTO execution.orders (id, strategy_id, signal_id, symbol, side, quantity, status, broker, submitted_at)
SELECT
    md5('order of ' || id)::uuid,
    strategy_id,
    id,
    symbol,
    CASE direction WHEN 'long' THEN 'buy' ELSE 'sell' END,
    100,
    'filled',
    'paper',
    generated_at
FROM strategies.strategy_signals
WHERE id IN (SELECT md5('strategy signal ' || n)::uuid FROM generate_series(1, 3) AS n)
ON CONFLICT (id) DO NOTHING;

INSERT INTO execution.fills (id, order_id, quantity, price, fees, executed_at)
SELECT md5('fill of ' || orders.id)::uuid, orders.id, orders.quantity, ohlcv.close, 1, ohlcv."timestamp" + INTERVAL '1 hour'
FROM execution.orders
JOIN market_data.ohlcv ON ohlcv.symbol = orders.symbol AND ohlcv."timestamp" = orders.submitted_at
WHERE orders.broker = 'paper'
ON CONFLICT (id) DO NOTHING;
