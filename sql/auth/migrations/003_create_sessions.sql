CREATE TABLE login_attempts (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id        UUID REFERENCES users (id) ON DELETE CASCADE,
    email          CITEXT NOT NULL,
    succeeded      BOOLEAN NOT NULL,
    failure_reason VARCHAR(50),
    ip_address     INET NOT NULL,
    user_agent     TEXT,
    attempted_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_login_attempts_reason CHECK (succeeded = (failure_reason IS NULL))
);

CREATE TABLE user_sessions (
    id               UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id          UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    refresh_token_id UUID REFERENCES refresh_tokens (id) ON DELETE SET NULL,
    session_hash     BYTEA NOT NULL,
    ip_address       INET,
    user_agent       TEXT,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    last_seen_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    expires_at       TIMESTAMPTZ NOT NULL,
    ended_at         TIMESTAMPTZ,
    CONSTRAINT uq_user_sessions_hash UNIQUE (session_hash),
    CONSTRAINT chk_user_sessions_hash CHECK (octet_length(session_hash) = 32),
    CONSTRAINT chk_user_sessions_times CHECK (last_seen_at >= created_at AND expires_at > created_at AND ended_at >= created_at)
);

CREATE INDEX idx_login_attempts_email_time ON login_attempts (email, attempted_at DESC);
CREATE INDEX idx_login_attempts_ip_time ON login_attempts (ip_address, attempted_at DESC);
CREATE INDEX idx_login_attempts_user_time ON login_attempts (user_id, attempted_at DESC);
CREATE INDEX idx_user_sessions_user ON user_sessions (user_id, last_seen_at DESC);
CREATE INDEX idx_user_sessions_refresh_token ON user_sessions (refresh_token_id);
CREATE INDEX idx_user_sessions_open ON user_sessions (expires_at) WHERE ended_at IS NULL;

COMMENT ON TABLE login_attempts IS 'Sign-ins that were tried, for rate limits and audits: rows are added and never changed';
COMMENT ON COLUMN login_attempts.email IS 'As it was typed, whether there is such a user or not';
COMMENT ON TABLE user_sessions IS 'Sessions, on which device and until when';
COMMENT ON COLUMN user_sessions.session_hash IS 'SHA-256 of the session''s token, which is stored nowhere';
