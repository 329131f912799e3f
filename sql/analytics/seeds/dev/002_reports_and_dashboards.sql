INSERT INTO report_definitions (id, owner_user_id, name, report_type, parameters, created_at)
VALUES
    (md5('report 1')::uuid, '11111111-1111-4111-8111-111111111111', 'Growth against the index', 'performance', '{"portfolio_id": "b0000000-0000-4000-8000-000000000001"}', '2026-08-10 09:00Z'),
    (md5('report 2')::uuid, '33333333-3333-4333-8333-333333333333', 'Taxes', 'tax', '{"country": "ES"}', '2026-09-12 09:00Z')
ON CONFLICT (owner_user_id, name) DO NOTHING;

INSERT INTO report_runs (id, report_id, status, period, requested_by, queued_at, started_at, finished_at, row_count, result, error)
VALUES
    (md5('run 1')::uuid, '4e000000-0000-4000-8000-000000000003', 'finished', '[2026-11-19,2026-11-20)', NULL, '2026-11-20 05:00Z', '2026-11-20 05:00:01Z', '2026-11-20 05:00:03Z', 3, '{"users": 3}', NULL),
    (md5('run 2')::uuid, md5('report 1')::uuid, 'finished', '[2026-10-01,2026-11-01)', '11111111-1111-4111-8111-111111111111', '2026-11-02 10:00Z', '2026-11-02 10:00:02Z', '2026-11-02 10:00:09Z', 22, '{"days": 22}', NULL),
    (md5('run 3')::uuid, md5('report 2')::uuid, 'failed', '[2026-01-01,2027-01-01)', '33333333-3333-4333-8333-333333333333', '2026-11-16 07:10Z', '2026-11-16 07:10:01Z', '2026-11-16 07:10:02Z', NULL, NULL, 'the year is not over')
ON CONFLICT (id) DO NOTHING;

INSERT INTO dashboards (id, owner_user_id, name, is_shared, created_at)
VALUES
    (md5('dashboard 1')::uuid, '11111111-1111-4111-8111-111111111111', 'Overview', TRUE, '2026-08-10 09:30Z'),
    (md5('dashboard 2')::uuid, '22222222-2222-4222-8222-222222222222', 'Mine', FALSE, '2026-08-11 09:30Z')
ON CONFLICT (owner_user_id, name) DO NOTHING;

INSERT INTO dashboard_widgets (id, dashboard_id, metric_name, widget_type, position, created_at)
SELECT md5('widget ' || n)::uuid, md5('dashboard ' || dashboard)::uuid, metric_name, widget_type, position, TIMESTAMPTZ '2026-08-11 10:00Z'
FROM (VALUES (1, 1, 'active_users', 'number', 1), (2, 1, 'trades', 'bar', 2), (3, 1, 'page_views', 'line', 3), (4, 2, 'trades', 'table', 1))
    AS placed (n, dashboard, metric_name, widget_type, position)
ON CONFLICT (id) DO NOTHING;
