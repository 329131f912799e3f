CREATE TABLE user_preferences (
    user_id           UUID PRIMARY KEY,
    theme             VARCHAR(10) NOT NULL DEFAULT 'system',
    locale            VARCHAR(35) NOT NULL DEFAULT 'en-US',
    time_zone         TEXT NOT NULL DEFAULT 'UTC',
    default_symbol    VARCHAR(20) REFERENCES instruments (symbol) ON UPDATE CASCADE ON DELETE SET NULL,
    default_timeframe VARCHAR(10) NOT NULL DEFAULT '1d',
    chart_type        VARCHAR(20) NOT NULL DEFAULT 'candlestick',
    confirm_orders    BOOLEAN NOT NULL DEFAULT TRUE,
    created_at        TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at        TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_user_preferences_theme CHECK (theme IN ('light', 'dark', 'system')),
    CONSTRAINT chk_user_preferences_chart CHECK (chart_type IN ('candlestick', 'bar', 'line', 'area', 'heikin_ashi')),
    CONSTRAINT chk_user_preferences_timeframe CHECK (default_timeframe IN ('1m', '5m', '15m', '30m', '1h', '4h', '1d', '1w', '1M'))
);

CREATE TABLE user_settings (
    user_id    UUID NOT NULL,
    key        VARCHAR(100) NOT NULL,
    value      JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (user_id, key),
    CONSTRAINT chk_user_settings_key CHECK (key ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$')
);

CREATE TRIGGER trg_user_preferences_updated_at BEFORE UPDATE ON user_preferences
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_user_settings_updated_at BEFORE UPDATE ON user_settings
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE user_preferences IS 'What every user can choose, one row for each user';
COMMENT ON TABLE user_settings IS 'Settings of single features, by a dotted key such as indicators.rsi';
