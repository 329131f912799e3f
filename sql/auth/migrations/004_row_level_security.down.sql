GRANT INSERT, UPDATE, DELETE ON login_attempts TO auth_app;
REVOKE SELECT (id, email, status, email_verified_at, password_changed_at, last_login_at, created_at, updated_at)
    ON users FROM auth_readonly;
REVOKE SELECT (id, user_id, replaced_by, issued_at, expires_at, revoked_at, ip_address, user_agent)
    ON refresh_tokens FROM auth_readonly;
REVOKE SELECT (id, user_id, name, service, key_prefix, scopes, last_used_at, expires_at, revoked_at, created_at, updated_at)
    ON api_keys FROM auth_readonly;
REVOKE SELECT (id, user_id, requested_ip, created_at, expires_at, used_at)
    ON password_reset_tokens FROM auth_readonly;
REVOKE SELECT (id, user_id, email, created_at, expires_at, used_at)
    ON email_verification_tokens FROM auth_readonly;
REVOKE SELECT (id, user_id, refresh_token_id, ip_address, user_agent, created_at, last_seen_at, expires_at, ended_at)
    ON user_sessions FROM auth_readonly;
GRANT SELECT ON users, refresh_tokens, api_keys, password_reset_tokens, email_verification_tokens, user_sessions TO auth_readonly;
DROP POLICY reports_read ON user_sessions;
DROP POLICY reports_read ON login_attempts;
DROP POLICY reports_read ON email_verification_tokens;
DROP POLICY reports_read ON password_reset_tokens;
DROP POLICY reports_read ON api_keys;
DROP POLICY reports_read ON refresh_tokens;
DROP POLICY reports_read ON user_profiles;
DROP POLICY reports_read ON users;
DROP POLICY own_rows ON user_sessions;
DROP POLICY own_rows ON login_attempts;
DROP POLICY own_rows ON email_verification_tokens;
DROP POLICY own_rows ON password_reset_tokens;
DROP POLICY own_rows ON api_keys;
DROP POLICY own_rows ON refresh_tokens;
DROP POLICY own_rows ON user_profiles;
DROP POLICY own_rows ON users;
ALTER TABLE user_sessions DISABLE ROW LEVEL SECURITY;
ALTER TABLE login_attempts DISABLE ROW LEVEL SECURITY;
ALTER TABLE email_verification_tokens DISABLE ROW LEVEL SECURITY;
ALTER TABLE password_reset_tokens DISABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys DISABLE ROW LEVEL SECURITY;
ALTER TABLE refresh_tokens DISABLE ROW LEVEL SECURITY;
ALTER TABLE user_profiles DISABLE ROW LEVEL SECURITY;
ALTER TABLE users DISABLE ROW LEVEL SECURITY;
DROP FUNCTION current_user_id();
