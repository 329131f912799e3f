-- A story for a presentation: on 2026-11-18 the launch of Widget Z brings a purchase every ten minutes.
INSERT INTO events (id, event_type, customer_id, source, payload, occurred_at, received_at)
SELECT
    md5('launch ' || n)::uuid,
    'purchase',
    'cust_00' || 1 + n % 8,
    'webhook',
    jsonb_build_object('amount', 99 + 10 * (n % 7), 'product', 'Widget Z', 'campaign', 'launch'),
    TIMESTAMPTZ '2026-11-18 08:00Z' + n * INTERVAL '10 minutes',
    TIMESTAMPTZ '2026-11-18 08:00Z' + n * INTERVAL '10 minutes'
FROM generate_series(1, 60) AS n
ON CONFLICT (id) DO NOTHING;

INSERT INTO signals (id, event_type, customer_id, signal_data, processed_at, created_at)
SELECT id, event_type, customer_id, payload, received_at AT TIME ZONE 'UTC', received_at AT TIME ZONE 'UTC'
FROM events
WHERE payload @> '{"campaign": "launch"}'
ON CONFLICT (id) DO NOTHING;
