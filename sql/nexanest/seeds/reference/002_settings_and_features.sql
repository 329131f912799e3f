-- Values and switches that were changed since stay as they are.
INSERT INTO system_settings (key, value, description)
VALUES
    ('market.close_time', '"21:00"', 'When the trading day ends, in UTC'),
    ('portfolio.snapshot_time', '"21:30"', 'When the daily snapshots are taken, in UTC'),
    ('session.lifetime_days', '30', 'How long a refresh token is valid'),
    ('login.max_failures', '5', 'Failed sign-ins in fifteen minutes before an address has to wait')
ON CONFLICT (key) DO NOTHING;

INSERT INTO feature_flags (name, description, is_enabled, rollout_percent)
VALUES
    ('price_alerts', 'Alerts on watchlists', TRUE, 100),
    ('goal_tracking', 'Goals of a portfolio and how far they are', TRUE, 50),
    ('tax_reports', 'Yearly report for the tax office', FALSE, 0)
ON CONFLICT (name) DO NOTHING;
