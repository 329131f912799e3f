INSERT INTO notifications (id, user_id, type_name, priority, payload, dedupe_key, created_at, expires_at)
SELECT
    md5('test notification ' || n)::uuid,
    '33333333-3333-4333-8333-333333333333',
    'market.price_alert',
    'urgent',
    '{"symbol": "日経", "text": "line\nbreak \"quoted\""}',
    'test-' || n,
    '2026-11-20 00:00Z',
    '2026-11-21 00:00Z'
FROM generate_series(1, 4) AS n
ON CONFLICT (id) DO NOTHING;

INSERT INTO notification_deliveries (id, notification_id, channel, status, attempts, next_attempt_at, last_error, sent_at, created_at)
SELECT
    md5('test delivery ' || n)::uuid,
    md5('test notification ' || n)::uuid,
    'sms',
    status,
    attempts,
    next_attempt_at,
    last_error,
    sent_at,
    TIMESTAMPTZ '2026-11-20 00:00Z'
FROM (VALUES
    (1, 'queued', 0, TIMESTAMPTZ '2026-11-20 00:01Z', NULL, NULL),
    (2, 'sending', 3, TIMESTAMPTZ '2026-11-20 00:30Z', 'no answer', NULL),
    (3, 'sent', 1, NULL, NULL, TIMESTAMPTZ '2026-11-20 00:00:02Z'),
    (4, 'suppressed', 0, NULL, NULL, NULL)
) AS tried (n, status, attempts, next_attempt_at, last_error, sent_at)
ON CONFLICT (id) DO NOTHING;
