-- The hashes are those of no token: nothing can be opened with these rows.
INSERT INTO refresh_tokens (id, user_id, token_hash, issued_at, expires_at, revoked_at, ip_address, user_agent)
SELECT
    md5('refresh ' || n)::uuid,
    user_id::uuid,
    sha256(decode(repeat('00', n), 'hex')),
    issued_at,
    issued_at + INTERVAL '30 days',
    CASE WHEN n = 2 THEN issued_at + INTERVAL '1 day' END,
    ('192.0.2.' || n)::inet,
    'Sample Browser'
FROM (VALUES
    (1, '11111111-1111-4111-8111-111111111111', TIMESTAMPTZ '2026-11-20 08:00Z'),
    (2, '11111111-1111-4111-8111-111111111111', TIMESTAMPTZ '2026-11-10 08:00Z'),
    (3, '22222222-2222-4222-8222-222222222222', TIMESTAMPTZ '2026-11-19 18:30Z'),
    (4, '33333333-3333-4333-8333-333333333333', TIMESTAMPTZ '2026-11-16 07:00Z')
) AS issued (n, user_id, issued_at)
ON CONFLICT (id) DO NOTHING;

INSERT INTO user_sessions (id, user_id, refresh_token_id, session_hash, ip_address, user_agent, created_at, last_seen_at, expires_at, ended_at)
SELECT
    md5('session of ' || id)::uuid,
    user_id,
    id,
    sha256(decode(md5('session of ' || id), 'hex')),
    ip_address,
    user_agent,
    issued_at,
    issued_at + INTERVAL '2 hours',
    expires_at,
    revoked_at
FROM refresh_tokens
WHERE id IN (SELECT md5('refresh ' || n)::uuid FROM generate_series(1, 4) AS n)
ON CONFLICT (id) DO NOTHING;

INSERT INTO login_attempts (id, user_id, email, succeeded, failure_reason, ip_address, user_agent, attempted_at)
OVERRIDING SYSTEM VALUE
SELECT -n, user_id::uuid, email, reason IS NULL, reason, ('192.0.2.' || n)::inet, 'Sample Browser', attempted_at
FROM (VALUES
    (1, '11111111-1111-4111-8111-111111111111', 'alice@example.com', NULL, TIMESTAMPTZ '2026-11-20 08:00Z'),
    (2, '22222222-2222-4222-8222-222222222222', 'bob@example.com', 'wrong_password', TIMESTAMPTZ '2026-11-19 18:29Z'),
    (3, '22222222-2222-4222-8222-222222222222', 'bob@example.com', NULL, TIMESTAMPTZ '2026-11-19 18:30Z'),
    (4, '33333333-3333-4333-8333-333333333333', 'carol@example.com', NULL, TIMESTAMPTZ '2026-11-16 07:00Z'),
    (5, NULL, 'mallory@example.com', 'unknown_user', TIMESTAMPTZ '2026-11-18 03:12Z')
) AS tried (n, user_id, email, reason, attempted_at)
ON CONFLICT (id) DO NOTHING;

INSERT INTO api_keys (id, user_id, name, service, key_prefix, key_hash, scopes, created_at)
VALUES
    (md5('key 1')::uuid, '11111111-1111-4111-8111-111111111111', 'Price feed', 'timeseries', 'seed0001', sha256('\x01'), '{prices:write}', '2026-08-01 09:00Z'),
    (md5('key 2')::uuid, '22222222-2222-4222-8222-222222222222', 'Reports', 'analytics', 'seed0002', sha256('\x02'), '{reports:read}', '2026-08-02 09:00Z')
ON CONFLICT (id) DO NOTHING;
