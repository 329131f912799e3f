-- A session and its refresh token are of the same user, and a revoked token has no open session.
SELECT user_sessions.id, user_sessions.user_id, refresh_tokens.user_id AS user_of_the_token, refresh_tokens.revoked_at
FROM user_sessions
JOIN refresh_tokens ON refresh_tokens.id = user_sessions.refresh_token_id
WHERE user_sessions.user_id <> refresh_tokens.user_id
   OR (refresh_tokens.revoked_at IS NOT NULL AND user_sessions.ended_at IS NULL);
