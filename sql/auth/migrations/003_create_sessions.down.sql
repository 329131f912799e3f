DROP TABLE user_sessions;
DROP TABLE login_attempts;
