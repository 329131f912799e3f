-- A story for a presentation: on 2026-11-19 the notifications service failed for an hour and came back.
INSERT INTO events.system_events (time, id, service, event_type, severity, details)
SELECT
    TIMESTAMPTZ '2026-11-19 13:00Z' + n * INTERVAL '1 minute',
    md5('incident ' || n)::uuid,
    'notifications',
    CASE WHEN n < 60 THEN 'message.failed' ELSE 'service.recovered' END,
    CASE WHEN n < 60 THEN 'error' ELSE 'info' END,
    jsonb_build_object('provider', 'email', 'attempt', n)
FROM generate_series(1, 60) AS n
ON CONFLICT (id, time) DO NOTHING;
