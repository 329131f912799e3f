DROP FUNCTION user_of_email_verification_token(BYTEA);
DROP FUNCTION user_of_password_reset_token(BYTEA);
DROP FUNCTION user_of_api_key(BYTEA);
DROP FUNCTION user_of_refresh_token(BYTEA);
DROP FUNCTION user_of_session(BYTEA);
DROP FUNCTION failed_logins(CITEXT, INET, TIMESTAMPTZ);
DROP FUNCTION record_login_attempt(CITEXT, INET, VARCHAR, TEXT);
DROP FUNCTION find_user(CITEXT);
DROP FUNCTION register_user(CITEXT, TEXT);
