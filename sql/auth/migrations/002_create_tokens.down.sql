DROP TABLE email_verification_tokens;
DROP TABLE password_reset_tokens;
DROP TABLE api_keys;
DROP TABLE refresh_tokens;
