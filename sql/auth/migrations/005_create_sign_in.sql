-- What happens before the user is known, so before row-level security lets anything through: these functions run as
-- their owner, take what the visitor has shown, and give back no more than the next step needs.

CREATE FUNCTION register_user(email CITEXT, password_hash TEXT) RETURNS UUID
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO users (email, password_hash, password_changed_at) VALUES ($1, $2, NOW()) RETURNING id
$$;

CREATE FUNCTION find_user(email CITEXT) RETURNS TABLE (id UUID, password_hash TEXT, status VARCHAR)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT users.id, users.password_hash, users.status FROM users WHERE users.email = $1
$$;

CREATE FUNCTION record_login_attempt(email CITEXT, ip_address INET, failure_reason VARCHAR, user_agent TEXT) RETURNS VOID
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO login_attempts (user_id, email, succeeded, failure_reason, ip_address, user_agent)
    VALUES ((SELECT users.id FROM users WHERE users.email = $1), $1, $3 IS NULL, $3, $2, $4)
$$;

CREATE FUNCTION failed_logins(email CITEXT, ip_address INET, since TIMESTAMPTZ) RETURNS BIGINT
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*)
    FROM login_attempts
    WHERE NOT succeeded AND attempted_at >= $3 AND (login_attempts.email = $1 OR login_attempts.ip_address = $2)
$$;

CREATE FUNCTION user_of_session(session_hash BYTEA) RETURNS UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT user_id FROM user_sessions WHERE user_sessions.session_hash = $1 AND ended_at IS NULL AND expires_at > NOW()
$$;

CREATE FUNCTION user_of_refresh_token(token_hash BYTEA) RETURNS UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT user_id FROM refresh_tokens WHERE refresh_tokens.token_hash = $1 AND revoked_at IS NULL AND expires_at > NOW()
$$;

CREATE FUNCTION user_of_api_key(key_hash BYTEA) RETURNS UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT user_id
    FROM api_keys
    WHERE api_keys.key_hash = $1 AND revoked_at IS NULL AND COALESCE(expires_at, 'infinity') > NOW()
$$;

CREATE FUNCTION user_of_password_reset_token(token_hash BYTEA) RETURNS UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT user_id FROM password_reset_tokens WHERE password_reset_tokens.token_hash = $1 AND used_at IS NULL AND expires_at > NOW()
$$;

CREATE FUNCTION user_of_email_verification_token(token_hash BYTEA) RETURNS UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT user_id
    FROM email_verification_tokens
    WHERE email_verification_tokens.token_hash = $1 AND used_at IS NULL AND expires_at > NOW()
$$;

REVOKE EXECUTE ON FUNCTION
    register_user, find_user, record_login_attempt, failed_logins, user_of_session, user_of_refresh_token, user_of_api_key,
    user_of_password_reset_token, user_of_email_verification_token
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    register_user, find_user, record_login_attempt, failed_logins, user_of_session, user_of_refresh_token, user_of_api_key,
    user_of_password_reset_token, user_of_email_verification_token
    TO auth_app;

COMMENT ON FUNCTION register_user IS 'Adds a user whose address is still to be verified and returns the id';
COMMENT ON FUNCTION find_user IS 'What the application compares a password with';
COMMENT ON FUNCTION record_login_attempt IS 'Adds to the login attempts; without a reason for failure it was a success';
COMMENT ON FUNCTION failed_logins IS 'How many attempts for this address or from this host failed since then';
COMMENT ON FUNCTION user_of_session IS 'Whose session this is, if it is still open';
COMMENT ON FUNCTION user_of_refresh_token IS 'Whose token this is, if it is still valid';
COMMENT ON FUNCTION user_of_api_key IS 'Who answers for this key, if it is still valid';
COMMENT ON FUNCTION user_of_password_reset_token IS 'Whose token this is, if it is still valid';
COMMENT ON FUNCTION user_of_email_verification_token IS 'Whose token this is, if it is still valid';
