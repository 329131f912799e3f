-- No password fits these users: sign in as one of them by setting a password hash of your own.
INSERT INTO users (id, email, password_hash, status, email_verified_at, last_login_at, created_at)
VALUES
    ('11111111-1111-4111-8111-111111111111', 'alice@example.com', '!', 'active', '2026-07-01 08:10Z', '2026-11-20 08:00Z', '2026-07-01 08:00Z'),
    ('22222222-2222-4222-8222-222222222222', 'bob@example.com', '!', 'active', '2026-07-02 08:25Z', '2026-11-19 18:30Z', '2026-07-02 08:15Z'),
    ('33333333-3333-4333-8333-333333333333', 'carol@example.com', '!', 'active', '2026-07-03 07:05Z', '2026-11-16 07:00Z', '2026-07-03 07:00Z')
ON CONFLICT (id) DO NOTHING;

INSERT INTO user_profiles (user_id, display_name, given_name, family_name, country, locale, time_zone, created_at)
VALUES
    ('11111111-1111-4111-8111-111111111111', 'Alice', 'Alice', 'Archer', 'US', 'en-US', 'America/New_York', '2026-07-01 08:00Z'),
    ('22222222-2222-4222-8222-222222222222', 'Bob', 'Bob', 'Becker', 'DE', 'de-DE', 'Europe/Berlin', '2026-07-02 08:15Z'),
    ('33333333-3333-4333-8333-333333333333', 'Carol', 'Carol', 'Castro', 'ES', 'es-ES', 'Europe/Madrid', '2026-07-03 07:00Z')
ON CONFLICT (user_id) DO NOTHING;
