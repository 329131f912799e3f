DROP TABLE analytics_ts.risk_metrics;
DROP TABLE analytics_ts.portfolio_snapshots;
DROP SCHEMA analytics_ts;
