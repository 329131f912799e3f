-- The application says for whom it works: SET LOCAL app.current_user_id = '…'. Unset, it sees no row.
CREATE FUNCTION current_user_id() RETURNS UUID
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid
$$;

COMMENT ON FUNCTION current_user_id IS 'The user that the application works for: the setting app.current_user_id';

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_profiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE password_reset_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE email_verification_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE login_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_sessions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_rows ON users TO auth_app USING (id = (SELECT current_user_id()));
CREATE POLICY own_rows ON user_profiles TO auth_app USING (user_id = (SELECT current_user_id()));
CREATE POLICY own_rows ON refresh_tokens TO auth_app USING (user_id = (SELECT current_user_id()));
CREATE POLICY own_rows ON api_keys TO auth_app USING (user_id = (SELECT current_user_id()));
CREATE POLICY own_rows ON password_reset_tokens TO auth_app USING (user_id = (SELECT current_user_id()));
CREATE POLICY own_rows ON email_verification_tokens TO auth_app USING (user_id = (SELECT current_user_id()));
CREATE POLICY own_rows ON login_attempts TO auth_app USING (user_id = (SELECT current_user_id()));
CREATE POLICY own_rows ON user_sessions TO auth_app USING (user_id = (SELECT current_user_id()));

CREATE POLICY reports_read ON users FOR SELECT TO auth_readonly USING (true);
CREATE POLICY reports_read ON user_profiles FOR SELECT TO auth_readonly USING (true);
CREATE POLICY reports_read ON refresh_tokens FOR SELECT TO auth_readonly USING (true);
CREATE POLICY reports_read ON api_keys FOR SELECT TO auth_readonly USING (true);
CREATE POLICY reports_read ON password_reset_tokens FOR SELECT TO auth_readonly USING (true);
CREATE POLICY reports_read ON email_verification_tokens FOR SELECT TO auth_readonly USING (true);
CREATE POLICY reports_read ON login_attempts FOR SELECT TO auth_readonly USING (true);
CREATE POLICY reports_read ON user_sessions FOR SELECT TO auth_readonly USING (true);

-- Readers see every row, but no hash of a password, token or key.
REVOKE SELECT ON users, refresh_tokens, api_keys, password_reset_tokens, email_verification_tokens, user_sessions FROM auth_readonly;
GRANT SELECT (id, email, status, email_verified_at, password_changed_at, last_login_at, created_at, updated_at)
    ON users TO auth_readonly;
GRANT SELECT (id, user_id, replaced_by, issued_at, expires_at, revoked_at, ip_address, user_agent)
    ON refresh_tokens TO auth_readonly;
GRANT SELECT (id, user_id, name, service, key_prefix, scopes, last_used_at, expires_at, revoked_at, created_at, updated_at)
    ON api_keys TO auth_readonly;
GRANT SELECT (id, user_id, requested_ip, created_at, expires_at, used_at)
    ON password_reset_tokens TO auth_readonly;
GRANT SELECT (id, user_id, email, created_at, expires_at, used_at)
    ON email_verification_tokens TO auth_readonly;
GRANT SELECT (id, user_id, refresh_token_id, ip_address, user_agent, created_at, last_seen_at, expires_at, ended_at)
    ON user_sessions TO auth_readonly;

REVOKE INSERT, UPDATE, DELETE ON login_attempts FROM auth_app;
