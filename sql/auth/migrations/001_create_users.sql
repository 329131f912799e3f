CREATE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;

CREATE TABLE users (
    id                  UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email               CITEXT NOT NULL,
    password_hash       TEXT NOT NULL,
    status              VARCHAR(20) NOT NULL DEFAULT 'pending',
    email_verified_at   TIMESTAMPTZ,
    password_changed_at TIMESTAMPTZ,
    last_login_at       TIMESTAMPTZ,
    created_at          TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at          TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_users_email UNIQUE (email),
    CONSTRAINT chk_users_email CHECK (email ~ '^[^@\s]+@[^@\s]+$' AND length(email) <= 254),
    CONSTRAINT chk_users_password_hash CHECK (password_hash = '!' OR password_hash LIKE '$%'),
    CONSTRAINT chk_users_status CHECK (status IN ('pending', 'active', 'locked', 'disabled'))
);

CREATE TABLE user_profiles (
    user_id       UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    display_name  VARCHAR(100) NOT NULL,
    given_name    VARCHAR(100),
    family_name   VARCHAR(100),
    phone         VARCHAR(16),
    avatar_url    TEXT,
    date_of_birth DATE,
    country       CHAR(2),
    locale        VARCHAR(35) NOT NULL DEFAULT 'en-US',
    time_zone     TEXT NOT NULL DEFAULT 'UTC',
    created_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_user_profiles_display_name CHECK (btrim(display_name) <> ''),
    CONSTRAINT chk_user_profiles_phone CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    CONSTRAINT chk_user_profiles_avatar_url CHECK (avatar_url ~ '^https://'),
    CONSTRAINT chk_user_profiles_country CHECK (country ~ '^[A-Z]{2}$')
);

CREATE INDEX idx_users_unverified ON users (created_at) WHERE email_verified_at IS NULL;

CREATE TRIGGER trg_users_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_user_profiles_updated_at BEFORE UPDATE ON user_profiles
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE users IS 'User accounts and authentication; deleting one deletes all that the database knows of the person';
COMMENT ON COLUMN users.password_hash IS 'In the form $algorithm$…; ! is a locked one that no password fits';
COMMENT ON TABLE user_profiles IS 'Extended user profile information';
COMMENT ON COLUMN user_profiles.phone IS 'In the form of E.164';
