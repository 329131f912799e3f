-- Made-up values under the names of real series.
INSERT INTO economic_data.economic_data (id, symbol, date, value, is_preliminary, revision_date, source)
VALUES
    (md5('GDPC1 1')::uuid, 'GDPC1', '2025-10-01 00:00Z', 23900.1, FALSE, '2026-03-26 12:30Z', 'seed'),
    (md5('GDPC1 2')::uuid, 'GDPC1', '2026-01-01 00:00Z', 24012.6, FALSE, '2026-06-25 12:30Z', 'seed'),
    (md5('GDPC1 3')::uuid, 'GDPC1', '2026-04-01 00:00Z', 24140.9, FALSE, '2026-09-24 12:30Z', 'seed'),
    (md5('GDPC1 4')::uuid, 'GDPC1', '2026-07-01 00:00Z', 24271.3, TRUE, NULL, 'seed')
ON CONFLICT (symbol, date) DO NOTHING;

INSERT INTO economic_data.economic_data (id, symbol, date, value, is_preliminary, source)
SELECT
    md5(symbol || ' ' || month)::uuid,
    symbol,
    TIMESTAMPTZ '2025-11-01 00:00Z' + month * INTERVAL '1 month',
    first + month * step,
    month = 11,
    'seed'
FROM (VALUES
    ('UNRATE', 4.2, 0.02), ('CPIAUCSL', 323.1, 0.71), ('FEDFUNDS', 3.88, -0.04), ('PAYEMS', 159600, 62)
) AS series (symbol, first, step)
CROSS JOIN generate_series(0, 11) AS month
ON CONFLICT (symbol, date) DO NOTHING;
