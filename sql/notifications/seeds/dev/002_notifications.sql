-- The filled orders are those that portfolio has as transactions.
INSERT INTO notifications (id, user_id, type_name, priority, payload, dedupe_key, created_at, read_at)
SELECT
    md5('notification ' || n)::uuid,
    user_id::uuid,
    type_name,
    priority,
    payload::jsonb,
    'seed-' || n,
    created_at,
    CASE WHEN n % 3 > 0 THEN created_at + INTERVAL '40 minutes' END
FROM (VALUES
    (1, '11111111-1111-4111-8111-111111111111', 'portfolio.order_filled', 'normal', '{"side": "buy", "quantity": 100, "symbol": "AAPL", "transaction": 2}', TIMESTAMPTZ '2026-07-21 21:00Z'),
    (2, '11111111-1111-4111-8111-111111111111', 'portfolio.order_filled', 'normal', '{"side": "buy", "quantity": 60, "symbol": "MSFT", "transaction": 3}', TIMESTAMPTZ '2026-07-21 21:00Z'),
    (3, '11111111-1111-4111-8111-111111111111', 'portfolio.order_filled', 'normal', '{"side": "sell", "quantity": 40, "symbol": "AAPL", "transaction": 7}', TIMESTAMPTZ '2026-10-08 21:00Z'),
    (4, '22222222-2222-4222-8222-222222222222', 'portfolio.order_filled', 'normal', '{"side": "sell", "quantity": 100, "symbol": "XOM", "transaction": 22}', TIMESTAMPTZ '2026-10-20 21:00Z'),
    (5, '33333333-3333-4333-8333-333333333333', 'account.new_sign_in', 'high', '{"device": "Sample Browser", "ip": "192.0.2.4"}', TIMESTAMPTZ '2026-11-16 07:00Z'),
    (6, '11111111-1111-4111-8111-111111111111', 'market.price_alert', 'high', '{"symbol": "META", "limit": 600, "price": 601.10}', TIMESTAMPTZ '2026-11-19 14:00Z'),
    (7, '11111111-1111-4111-8111-111111111111', 'portfolio.weekly_summary', 'low', '{"value": 156343.85}', TIMESTAMPTZ '2026-11-20 22:00Z')
) AS told (n, user_id, type_name, priority, payload, created_at)
ON CONFLICT (id) DO NOTHING;

INSERT INTO notification_deliveries
    (id, notification_id, template_id, channel, status, attempts, provider, provider_id, last_error, sent_at, delivered_at, created_at)
SELECT
    md5('delivery ' || notifications.id || notification_templates.channel)::uuid,
    notifications.id,
    notification_templates.id,
    notification_templates.channel,
    outcome.status,
    1,
    'sample',
    CASE WHEN outcome.status = 'delivered' THEN 'sample-' || notifications.dedupe_key END,
    CASE WHEN outcome.status = 'failed' THEN 'the device is not known' END,
    CASE WHEN outcome.status = 'delivered' THEN notifications.created_at + INTERVAL '1 second' END,
    CASE WHEN outcome.status = 'delivered' THEN notifications.created_at + INTERVAL '3 seconds' END,
    notifications.created_at
FROM notifications
JOIN notification_types ON notification_types.name = notifications.type_name
JOIN notification_templates
    ON notification_templates.type_name = notifications.type_name
    AND notification_templates.channel = ANY (notification_types.default_channels)
    AND notification_templates.is_active
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN notification_templates.channel = 'push' AND notifications.user_id <> '11111111-1111-4111-8111-111111111111' THEN 'failed'
        ELSE 'delivered'
    END AS status
) AS outcome
WHERE notifications.dedupe_key LIKE 'seed-%'
ON CONFLICT (notification_id, channel) DO NOTHING;
