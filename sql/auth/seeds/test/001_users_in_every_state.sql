INSERT INTO users (id, email, password_hash, status, email_verified_at, created_at)
VALUES
    ('44444444-4444-4444-8444-444444444444', 'pending@example.com', '!', 'pending', NULL, '2026-11-19 00:00Z'),
    ('55555555-5555-4555-8555-555555555555', 'locked@example.com', '!', 'locked', '2026-11-01 00:00Z', '2026-11-01 00:00Z'),
    ('66666666-6666-4666-8666-666666666666', 'Disabled+Tag@Example.com', '!', 'disabled', '2026-11-01 00:00Z', '2026-11-01 00:00Z')
ON CONFLICT (id) DO NOTHING;

INSERT INTO user_profiles (user_id, display_name, given_name, family_name, country, locale, time_zone)
VALUES ('55555555-5555-4555-8555-555555555555', 'Zoë O''Connor-ß 李', 'Zoë', 'O''Connor-ß', 'IE', 'ga-IE', 'Europe/Dublin')
ON CONFLICT (user_id) DO NOTHING;

INSERT INTO email_verification_tokens (id, user_id, email, token_hash, created_at, expires_at)
VALUES
    (md5('verification 1')::uuid, '44444444-4444-4444-8444-444444444444', 'pending@example.com', sha256('\x03'), '2026-11-19 00:00Z', '2026-11-20 00:00Z')
ON CONFLICT (id) DO NOTHING;

INSERT INTO password_reset_tokens (id, user_id, token_hash, requested_ip, created_at, expires_at, used_at)
VALUES
    (md5('reset 1')::uuid, '55555555-5555-4555-8555-555555555555', sha256('\x04'), '2001:db8::7', '2026-11-02 00:00Z', '2026-11-02 01:00Z', NULL),
    (md5('reset 2')::uuid, '66666666-6666-4666-8666-666666666666', sha256('\x05'), '192.0.2.77', '2026-11-02 00:00Z', '2026-11-02 01:00Z', '2026-11-02 00:10Z')
ON CONFLICT (id) DO NOTHING;
