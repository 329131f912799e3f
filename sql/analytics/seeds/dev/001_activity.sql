-- The 90 days 2026-08-23 … 2026-11-20; trades fall on the days of the transactions in portfolio.
INSERT INTO user_activity (user_id, day, sessions, page_views, trades, seconds_active)
SELECT
    user_id::uuid,
    day,
    sessions,
    sessions * (4 + (n * 5 + d) % 11),
    (SELECT count(*) FROM unnest(trading_days) AS traded WHERE traded = day),
    sessions * (120 + (n * 97 + d * 31) % 900)
FROM (VALUES
    (1, '11111111-1111-4111-8111-111111111111', '{2026-08-24,2026-09-02,2026-10-08}'::date[]),
    (2, '22222222-2222-4222-8222-222222222222', '{2026-10-20}'::date[]),
    (3, '33333333-3333-4333-8333-333333333333', '{2026-08-31,2026-10-26}'::date[])
) AS users (n, user_id, trading_days)
CROSS JOIN generate_series(0, 89) AS d
CROSS JOIN LATERAL (SELECT DATE '2026-08-23' + d AS day, 1 + (n * 3 + d) % 4 AS sessions) AS counted
WHERE (n + d) % (n + 1) < n OR DATE '2026-08-23' + d = ANY (trading_days)
ON CONFLICT (user_id, day) DO NOTHING;

INSERT INTO daily_metrics (metric_name, day, value, computed_at)
SELECT metric_name, day, value, (day + TIME '23:59') AT TIME ZONE 'UTC'
FROM (SELECT day, count(*) AS active_users, sum(page_views) AS page_views, sum(trades) AS trades FROM user_activity GROUP BY day) AS totals
CROSS JOIN LATERAL (VALUES ('active_users', active_users), ('page_views', page_views), ('trades', trades)) AS measured (metric_name, value)
ON CONFLICT (metric_name, day, dimensions) DO NOTHING;
