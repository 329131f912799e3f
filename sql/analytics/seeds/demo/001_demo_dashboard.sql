INSERT INTO dashboards (id, owner_user_id, name, is_shared, created_at)
VALUES (md5('dashboard demo')::uuid, '11111111-1111-4111-8111-111111111111', 'Presentation', TRUE, '2026-11-18 09:00Z')
ON CONFLICT (owner_user_id, name) DO NOTHING;

INSERT INTO dashboard_widgets (id, dashboard_id, metric_name, widget_type, position, created_at)
VALUES
    (md5('widget demo 1')::uuid, md5('dashboard demo')::uuid, 'active_users', 'line', 1, '2026-11-18 09:00Z'),
    (md5('widget demo 2')::uuid, md5('dashboard demo')::uuid, 'page_views', 'bar', 2, '2026-11-18 09:00Z')
ON CONFLICT (id) DO NOTHING;
