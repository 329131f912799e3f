CREATE SCHEMA IF NOT EXISTS market_data;
CREATE SCHEMA IF NOT EXISTS economic_data;
CREATE SCHEMA IF NOT EXISTS news;
CREATE SCHEMA IF NOT EXISTS events;
CREATE SCHEMA IF NOT EXISTS derived;
CREATE SCHEMA IF NOT EXISTS strategies;
CREATE SCHEMA IF NOT EXISTS execution;

COMMENT ON SCHEMA market_data IS 'Market data';
COMMENT ON SCHEMA economic_data IS 'Economic indicators';
COMMENT ON SCHEMA news IS 'News and sentiment';
COMMENT ON SCHEMA events IS 'Financial events';
COMMENT ON SCHEMA derived IS 'Derived and calculated data';
COMMENT ON SCHEMA strategies IS 'Trading strategies';
COMMENT ON SCHEMA execution IS 'Execution records';

CREATE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;
