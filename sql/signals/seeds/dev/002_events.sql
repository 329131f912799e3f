-- Two events of every day for 90 days, up to 2026-11-20; each twelfth was rejected, so it has no signal.
INSERT INTO events (id, event_type, customer_id, source, payload, occurred_at, received_at)
SELECT
    md5('signal ' || n)::uuid,
    (ARRAY['purchase', 'inquiry', 'demo_request', 'renewal', 'churn_risk'])[1 + (n - 1) % 5],
    'cust_00' || 1 + (n * 7) % 8,
    (ARRAY['api', 'webhook', 'import'])[1 + n % 3],
    CASE (n - 1) % 5
        WHEN 0 THEN jsonb_build_object('amount', 20 + (n * 37) % 480, 'product', 'Widget ' || chr(65 + n % 4))
        WHEN 1 THEN jsonb_build_object('product', 'Widget ' || chr(65 + n % 4), 'channel', (ARRAY['email', 'phone', 'web'])[1 + n % 3])
        WHEN 2 THEN jsonb_build_object('product', 'Widget ' || chr(65 + n % 4), 'seats', 5 * (1 + n % 10))
        WHEN 3 THEN jsonb_build_object('amount', 600 + (n * 13) % 900, 'months', 12)
        ELSE jsonb_build_object('score', (n * 17) % 100, 'reason', (ARRAY['inactive', 'support', 'price'])[1 + n % 3])
    END,
    at,
    at + INTERVAL '1 second'
FROM generate_series(1, 180) AS n
CROSS JOIN LATERAL (SELECT TIMESTAMPTZ '2026-08-22 20:00Z' + n * INTERVAL '12 hours' AS at) AS moment
ON CONFLICT (id) DO NOTHING;
