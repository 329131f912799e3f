INSERT INTO strategies.strategies (id, name, version, description, parameters, symbols, status, created_at)
VALUES
    ('57000000-0000-4000-8000-000000000001', 'buy_and_hold', 1, 'Buys once and holds: what every other strategy is measured against',
     '{}', '{SPY}', 'active', '2026-01-01 00:00Z')
ON CONFLICT (name, version) DO UPDATE
SET description = EXCLUDED.description, parameters = EXCLUDED.parameters, symbols = EXCLUDED.symbols
WHERE (strategies.description, strategies.parameters, strategies.symbols)
    IS DISTINCT FROM (EXCLUDED.description, EXCLUDED.parameters, EXCLUDED.symbols);
