INSERT INTO signals (id, event_type, customer_id, signal_data, processed_at, created_at)
VALUES
    (md5('widget a')::uuid, 'purchase', 'cust_001', '{"amount": 150.00, "product": "Widget A"}', '2026-08-22 12:00', '2026-08-22 12:00'),
    (md5('widget b')::uuid, 'inquiry', 'cust_002', '{"product": "Widget B", "channel": "email"}', '2026-08-22 12:05', '2026-08-22 12:05')
ON CONFLICT (id) DO NOTHING;

INSERT INTO signals (id, event_type, customer_id, signal_data, processed_at, created_at)
SELECT
    id,
    event_type,
    customer_id,
    payload,
    (received_at AT TIME ZONE 'UTC') + INTERVAL '3 seconds',
    (received_at AT TIME ZONE 'UTC') + INTERVAL '3 seconds'
FROM events
JOIN (SELECT md5('signal ' || n)::uuid AS id FROM generate_series(1, 180) AS n WHERE n % 12 <> 0) AS accepted USING (id)
ON CONFLICT (id) DO NOTHING;
