DROP TABLE IF EXISTS securities;
DROP FUNCTION IF EXISTS set_updated_at();
