DROP TABLE user_activity;
DROP TABLE daily_metrics;
DROP TABLE metric_definitions;
DROP FUNCTION set_updated_at();
