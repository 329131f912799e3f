INSERT INTO organizations (id, slug, name, country, created_at)
VALUES
    ('09000000-0000-4000-8000-000000000001', 'archer-becker', 'Archer & Becker', 'US', '2026-07-01 08:00Z'),
    ('09000000-0000-4000-8000-000000000002', 'carol', 'Carol Castro', 'ES', '2026-07-03 07:00Z')
ON CONFLICT (id) DO NOTHING;

INSERT INTO organization_members (organization_id, user_id, role, joined_at)
VALUES
    ('09000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111', 'owner', '2026-07-01 08:00Z'),
    ('09000000-0000-4000-8000-000000000001', '22222222-2222-4222-8222-222222222222', 'member', '2026-07-02 08:30Z'),
    ('09000000-0000-4000-8000-000000000002', '33333333-3333-4333-8333-333333333333', 'owner', '2026-07-03 07:00Z')
ON CONFLICT (organization_id, user_id) DO NOTHING;

INSERT INTO subscriptions (id, organization_id, plan_id, status, started_at, renews_at, cancelled_at, created_at)
SELECT md5('subscription ' || n)::uuid, organization_id::uuid, plans.id, status, started_at, renews_at, cancelled_at, started_at
FROM (VALUES
    (1, '09000000-0000-4000-8000-000000000001', 'plus', 'cancelled', TIMESTAMPTZ '2026-07-01 08:00Z', NULL, TIMESTAMPTZ '2026-08-01 08:00Z'),
    (2, '09000000-0000-4000-8000-000000000001', 'team', 'active', TIMESTAMPTZ '2026-08-01 08:00Z', TIMESTAMPTZ '2026-12-01 08:00Z', NULL),
    (3, '09000000-0000-4000-8000-000000000002', 'free', 'active', TIMESTAMPTZ '2026-07-03 07:00Z', NULL, NULL)
) AS subscribed (n, organization_id, code, status, started_at, renews_at, cancelled_at)
JOIN plans USING (code)
ON CONFLICT (id) DO NOTHING;

INSERT INTO feature_flag_overrides (flag_name, organization_id, is_enabled, created_at)
VALUES ('tax_reports', '09000000-0000-4000-8000-000000000001', TRUE, '2026-09-01 10:00Z')
ON CONFLICT (flag_name, organization_id) DO NOTHING;

INSERT INTO audit_log (id, occurred_at, actor_user_id, organization_id, service, action, object_type, object_id, ip_address, changes)
OVERRIDING SYSTEM VALUE
VALUES
    (-1, '2026-07-01 08:00Z', '11111111-1111-4111-8111-111111111111', '09000000-0000-4000-8000-000000000001', 'nexanest', 'organization.created', 'organization', '09000000-0000-4000-8000-000000000001', '192.0.2.1', '{"name": [null, "Archer & Becker"]}'),
    (-2, '2026-07-02 08:30Z', '11111111-1111-4111-8111-111111111111', '09000000-0000-4000-8000-000000000001', 'nexanest', 'member.added', 'user', '22222222-2222-4222-8222-222222222222', '192.0.2.1', '{"role": [null, "member"]}'),
    (-3, '2026-07-03 07:00Z', '33333333-3333-4333-8333-333333333333', '09000000-0000-4000-8000-000000000002', 'nexanest', 'organization.created', 'organization', '09000000-0000-4000-8000-000000000002', '192.0.2.4', '{"name": [null, "Carol Castro"]}'),
    (-4, '2026-08-01 08:00Z', '11111111-1111-4111-8111-111111111111', '09000000-0000-4000-8000-000000000001', 'nexanest', 'plan.changed', 'subscription', md5('subscription 2')::uuid::text, '192.0.2.1', '{"plan": ["plus", "team"]}'),
    (-5, '2026-09-01 10:00Z', NULL, '09000000-0000-4000-8000-000000000001', 'nexanest', 'feature.enabled', 'feature_flag', 'tax_reports', NULL, '{"tax_reports": [false, true]}')
ON CONFLICT (id) DO NOTHING;
