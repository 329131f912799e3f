-- A user is active only with a verified address, and an active one has a profile.
SELECT users.id, users.status, users.email_verified_at, user_profiles.display_name
FROM users
LEFT JOIN user_profiles ON user_profiles.user_id = users.id
WHERE users.status = 'active'
  AND (users.email_verified_at IS NULL OR user_profiles.user_id IS NULL);
