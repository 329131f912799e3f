INSERT INTO user_contacts (id, user_id, channel, address, verified_at, created_at)
VALUES
    (md5('contact 1')::uuid, '11111111-1111-4111-8111-111111111111', 'email', 'alice@example.com', '2026-07-01 08:10Z', '2026-07-01 08:00Z'),
    (md5('contact 2')::uuid, '11111111-1111-4111-8111-111111111111', 'push', 'sample-device-1', '2026-07-01 08:20Z', '2026-07-01 08:20Z'),
    (md5('contact 3')::uuid, '22222222-2222-4222-8222-222222222222', 'email', 'bob@example.com', '2026-07-02 08:25Z', '2026-07-02 08:15Z'),
    (md5('contact 4')::uuid, '33333333-3333-4333-8333-333333333333', 'email', 'carol@example.com', '2026-07-03 07:05Z', '2026-07-03 07:00Z')
ON CONFLICT (user_id, channel, address) DO NOTHING;

INSERT INTO notification_preferences (user_id, type_name, channel, is_enabled, quiet_from, quiet_until, created_at)
VALUES
    ('11111111-1111-4111-8111-111111111111', 'market.price_alert', 'push', TRUE, '22:00', '07:00', '2026-07-05 10:00Z'),
    ('11111111-1111-4111-8111-111111111111', 'portfolio.order_filled', 'email', TRUE, NULL, NULL, '2026-07-05 10:01Z'),
    ('22222222-2222-4222-8222-222222222222', 'portfolio.weekly_summary', 'email', FALSE, NULL, NULL, '2026-07-20 12:00Z'),
    ('33333333-3333-4333-8333-333333333333', 'portfolio.order_filled', 'push', FALSE, NULL, NULL, '2026-07-29 08:00Z')
ON CONFLICT (user_id, type_name, channel) DO NOTHING;
