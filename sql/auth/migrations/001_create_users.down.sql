DROP TABLE user_profiles;
DROP TABLE users;
DROP FUNCTION set_updated_at();
