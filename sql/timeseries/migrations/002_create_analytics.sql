CREATE SCHEMA analytics_ts;

CREATE TABLE analytics_ts.portfolio_snapshots (
    time         TIMESTAMPTZ NOT NULL,
    portfolio_id UUID NOT NULL,
    user_id      UUID NOT NULL,
    total_value  NUMERIC(20, 4) NOT NULL,
    cash_balance NUMERIC(20, 4) NOT NULL,
    invested     NUMERIC(20, 4) NOT NULL GENERATED ALWAYS AS (total_value - cash_balance) STORED,
    currency     CHAR(3) NOT NULL DEFAULT 'USD',
    PRIMARY KEY (portfolio_id, time),
    CONSTRAINT chk_portfolio_snapshots_value CHECK (cash_balance >= 0 AND total_value >= cash_balance)
);

CREATE TABLE analytics_ts.risk_metrics (
    time         TIMESTAMPTZ NOT NULL,
    portfolio_id UUID NOT NULL,
    metric       VARCHAR(50) NOT NULL,
    value        NUMERIC(20, 8) NOT NULL,
    window_days  INTEGER NOT NULL,
    PRIMARY KEY (portfolio_id, metric, window_days, time),
    CONSTRAINT chk_risk_metrics_metric CHECK (
        metric IN ('volatility', 'value_at_risk_95', 'max_drawdown', 'beta', 'sharpe_ratio', 'sortino_ratio')
    ),
    CONSTRAINT chk_risk_metrics_window CHECK (window_days > 0)
);

SELECT create_hypertable('analytics_ts.portfolio_snapshots', 'time',
    chunk_time_interval => INTERVAL '90 days', create_default_indexes => FALSE);
SELECT create_hypertable('analytics_ts.risk_metrics', 'time',
    chunk_time_interval => INTERVAL '90 days', create_default_indexes => FALSE);

CREATE INDEX idx_portfolio_snapshots_time ON analytics_ts.portfolio_snapshots (time DESC);
CREATE INDEX idx_portfolio_snapshots_user_time ON analytics_ts.portfolio_snapshots (user_id, time DESC);
CREATE INDEX idx_risk_metrics_time ON analytics_ts.risk_metrics (time DESC);

COMMENT ON SCHEMA analytics_ts IS 'What is computed about portfolios, over time';
COMMENT ON TABLE analytics_ts.portfolio_snapshots IS 'Portfolio performance over time; users and portfolios are those of the auth and portfolio databases';
COMMENT ON TABLE analytics_ts.risk_metrics IS 'Risk calculations over time, each over the given number of trading days';
