-- From here on the owner is held to policies too. What runs as the owner in the application's session, such as a view or a
-- function with SECURITY DEFINER, gets the rows of the user that the application works for; migrations, seeds, checks and
-- whoever else is a member of the owner's role get all of them.

ALTER TABLE users FORCE ROW LEVEL SECURITY;
ALTER TABLE user_profiles FORCE ROW LEVEL SECURITY;
ALTER TABLE refresh_tokens FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE password_reset_tokens FORCE ROW LEVEL SECURITY;
ALTER TABLE email_verification_tokens FORCE ROW LEVEL SECURITY;
ALTER TABLE login_attempts FORCE ROW LEVEL SECURITY;
ALTER TABLE user_sessions FORCE ROW LEVEL SECURITY;

ALTER POLICY own_rows ON users TO auth_app, auth_owner;
ALTER POLICY own_rows ON user_profiles TO auth_app, auth_owner;
ALTER POLICY own_rows ON refresh_tokens TO auth_app, auth_owner;
ALTER POLICY own_rows ON api_keys TO auth_app, auth_owner;
ALTER POLICY own_rows ON password_reset_tokens TO auth_app, auth_owner;
ALTER POLICY own_rows ON email_verification_tokens TO auth_app, auth_owner;
ALTER POLICY own_rows ON login_attempts TO auth_app, auth_owner;
ALTER POLICY own_rows ON user_sessions TO auth_app, auth_owner;

CREATE POLICY upkeep ON users TO auth_owner USING ((SELECT pg_has_role(session_user, 'auth_owner', 'MEMBER')));
CREATE POLICY upkeep ON user_profiles TO auth_owner USING ((SELECT pg_has_role(session_user, 'auth_owner', 'MEMBER')));
CREATE POLICY upkeep ON refresh_tokens TO auth_owner USING ((SELECT pg_has_role(session_user, 'auth_owner', 'MEMBER')));
CREATE POLICY upkeep ON api_keys TO auth_owner USING ((SELECT pg_has_role(session_user, 'auth_owner', 'MEMBER')));
CREATE POLICY upkeep ON password_reset_tokens TO auth_owner USING ((SELECT pg_has_role(session_user, 'auth_owner', 'MEMBER')));
CREATE POLICY upkeep ON email_verification_tokens TO auth_owner USING ((SELECT pg_has_role(session_user, 'auth_owner', 'MEMBER')));
CREATE POLICY upkeep ON login_attempts TO auth_owner USING ((SELECT pg_has_role(session_user, 'auth_owner', 'MEMBER')));
CREATE POLICY upkeep ON user_sessions TO auth_owner USING ((SELECT pg_has_role(session_user, 'auth_owner', 'MEMBER')));

-- What 005_create_sign_in.sql made works before a user is known: it reads, and adds users and attempts, no more.
CREATE POLICY sign_in ON users FOR SELECT TO auth_owner USING (true);
CREATE POLICY sign_in ON refresh_tokens FOR SELECT TO auth_owner USING (true);
CREATE POLICY sign_in ON api_keys FOR SELECT TO auth_owner USING (true);
CREATE POLICY sign_in ON password_reset_tokens FOR SELECT TO auth_owner USING (true);
CREATE POLICY sign_in ON email_verification_tokens FOR SELECT TO auth_owner USING (true);
CREATE POLICY sign_in ON login_attempts FOR SELECT TO auth_owner USING (true);
CREATE POLICY sign_in ON user_sessions FOR SELECT TO auth_owner USING (true);
CREATE POLICY sign_in_adds ON users FOR INSERT TO auth_owner WITH CHECK (true);
CREATE POLICY sign_in_adds ON login_attempts FOR INSERT TO auth_owner WITH CHECK (true);
