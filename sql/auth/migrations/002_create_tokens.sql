CREATE TABLE refresh_tokens (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id     UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash  BYTEA NOT NULL,
    replaced_by UUID REFERENCES refresh_tokens (id) ON DELETE SET NULL,
    issued_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    expires_at  TIMESTAMPTZ NOT NULL,
    revoked_at  TIMESTAMPTZ,
    ip_address  INET,
    user_agent  TEXT,
    CONSTRAINT uq_refresh_tokens_hash UNIQUE (token_hash),
    CONSTRAINT chk_refresh_tokens_hash CHECK (octet_length(token_hash) = 32),
    CONSTRAINT chk_refresh_tokens_times CHECK (expires_at > issued_at AND revoked_at >= issued_at),
    CONSTRAINT chk_refresh_tokens_replaced CHECK (replaced_by <> id)
);

CREATE TABLE api_keys (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         VARCHAR(100) NOT NULL,
    service      VARCHAR(50) NOT NULL,
    key_prefix   VARCHAR(12) NOT NULL,
    key_hash     BYTEA NOT NULL,
    scopes       TEXT[] NOT NULL DEFAULT '{}',
    last_used_at TIMESTAMPTZ,
    expires_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_api_keys_hash UNIQUE (key_hash),
    CONSTRAINT uq_api_keys_user_name UNIQUE (user_id, name),
    CONSTRAINT chk_api_keys_hash CHECK (octet_length(key_hash) = 32),
    CONSTRAINT chk_api_keys_expires CHECK (expires_at > created_at)
);

CREATE TABLE password_reset_tokens (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BYTEA NOT NULL,
    requested_ip INET,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    expires_at   TIMESTAMPTZ NOT NULL,
    used_at      TIMESTAMPTZ,
    CONSTRAINT uq_password_reset_tokens_hash UNIQUE (token_hash),
    CONSTRAINT chk_password_reset_tokens_hash CHECK (octet_length(token_hash) = 32),
    CONSTRAINT chk_password_reset_tokens_times CHECK (expires_at > created_at AND used_at >= created_at)
);

CREATE TABLE email_verification_tokens (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      CITEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    expires_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ,
    CONSTRAINT uq_email_verification_tokens_hash UNIQUE (token_hash),
    CONSTRAINT chk_email_verification_tokens_hash CHECK (octet_length(token_hash) = 32),
    CONSTRAINT chk_email_verification_tokens_times CHECK (expires_at > created_at AND used_at >= created_at)
);

CREATE INDEX idx_refresh_tokens_user ON refresh_tokens (user_id);
CREATE INDEX idx_refresh_tokens_expires ON refresh_tokens (expires_at) WHERE revoked_at IS NULL;
CREATE INDEX idx_refresh_tokens_replaced_by ON refresh_tokens (replaced_by);
CREATE INDEX idx_api_keys_service ON api_keys (service) WHERE revoked_at IS NULL;
CREATE INDEX idx_password_reset_tokens_user ON password_reset_tokens (user_id, created_at DESC);
CREATE INDEX idx_password_reset_tokens_expires ON password_reset_tokens (expires_at) WHERE used_at IS NULL;
CREATE INDEX idx_email_verification_tokens_user ON email_verification_tokens (user_id, created_at DESC);
CREATE INDEX idx_email_verification_tokens_expires ON email_verification_tokens (expires_at) WHERE used_at IS NULL;

CREATE TRIGGER trg_api_keys_updated_at BEFORE UPDATE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE refresh_tokens IS 'Refresh tokens of JWT sign-ins; each is replaced when it is used';
COMMENT ON COLUMN refresh_tokens.token_hash IS 'SHA-256 of the token, which is stored nowhere';
COMMENT ON TABLE api_keys IS 'Keys for authentication between services; the user answers for the key';
COMMENT ON COLUMN api_keys.key_prefix IS 'First characters of the key, to recognise it in a list';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key, which is stored nowhere';
COMMENT ON TABLE password_reset_tokens IS 'Password resets that were asked for';
COMMENT ON COLUMN password_reset_tokens.token_hash IS 'SHA-256 of the token, which is stored nowhere';
COMMENT ON TABLE email_verification_tokens IS 'Verifications of e-mail addresses';
COMMENT ON COLUMN email_verification_tokens.token_hash IS 'SHA-256 of the token, which is stored nowhere';
