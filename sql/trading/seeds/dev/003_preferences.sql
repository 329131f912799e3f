INSERT INTO user_preferences (user_id, theme, locale, time_zone, default_symbol, default_timeframe)
VALUES
    ('11111111-1111-4111-8111-111111111111', 'dark', 'en-US', 'America/New_York', 'AAPL', '1h'),
    ('22222222-2222-4222-8222-222222222222', 'light', 'de-DE', 'Europe/Berlin', 'SPY', '1d'),
    ('33333333-3333-4333-8333-333333333333', 'system', 'es-ES', 'Europe/Madrid', NULL, '1d')
ON CONFLICT (user_id) DO NOTHING;

INSERT INTO user_settings (user_id, key, value)
VALUES
    ('11111111-1111-4111-8111-111111111111', 'indicators.rsi', '{"period": 14, "overbought": 70, "oversold": 30}'),
    ('11111111-1111-4111-8111-111111111111', 'layout.panels', '["chart", "orders", "positions"]'),
    ('22222222-2222-4222-8222-222222222222', 'indicators.sma', '{"periods": [20, 50, 200]}'),
    ('33333333-3333-4333-8333-333333333333', 'alerts.sound', 'false')
ON CONFLICT (user_id, key) DO NOTHING;
