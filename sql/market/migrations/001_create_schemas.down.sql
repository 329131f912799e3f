DROP FUNCTION set_updated_at();
DROP SCHEMA execution;
DROP SCHEMA strategies;
DROP SCHEMA derived;
DROP SCHEMA events;
DROP SCHEMA news;
DROP SCHEMA economic_data;
DROP SCHEMA market_data;
