-- Twelve events a day on the last ten days up to 2026-11-20.
INSERT INTO events.system_events (time, id, service, event_type, severity, user_id, details)
SELECT
    TIMESTAMPTZ '2026-11-11 00:00Z' + n * INTERVAL '2 hours',
    md5('system event ' || n)::uuid,
    (ARRAY['auth', 'portfolio', 'analytics', 'notifications'])[1 + n % 4],
    (ARRAY['user.signed_in', 'portfolio.updated', 'report.finished', 'message.sent'])[1 + n % 4],
    CASE WHEN n % 40 = 0 THEN 'error' WHEN n % 15 = 0 THEN 'warning' ELSE 'info' END,
    CASE n % 4 WHEN 0 THEN (ARRAY['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222',
        '33333333-3333-4333-8333-333333333333'])[1 + n % 3]::uuid END,
    jsonb_build_object('sequence', n)
FROM generate_series(1, 119) AS n
ON CONFLICT (id, time) DO NOTHING;
