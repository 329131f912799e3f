CREATE SCHEMA events;

CREATE TABLE events.system_events (
    time       TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    id         UUID NOT NULL DEFAULT gen_random_uuid(),
    service    VARCHAR(50) NOT NULL,
    event_type VARCHAR(100) NOT NULL,
    severity   VARCHAR(10) NOT NULL DEFAULT 'info',
    user_id    UUID,
    request_id UUID,
    details    JSONB NOT NULL DEFAULT '{}',
    PRIMARY KEY (id, time),
    CONSTRAINT chk_system_events_severity CHECK (severity IN ('debug', 'info', 'warning', 'error', 'critical')),
    CONSTRAINT chk_system_events_details_is_object CHECK (jsonb_typeof(details) = 'object')
);

CREATE TABLE events.trading_events (
    time         TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    id           UUID NOT NULL DEFAULT gen_random_uuid(),
    user_id      UUID NOT NULL,
    portfolio_id UUID NOT NULL,
    event_type   VARCHAR(50) NOT NULL,
    symbol       VARCHAR(20),
    quantity     NUMERIC(20, 8),
    price        NUMERIC(20, 8),
    details      JSONB NOT NULL DEFAULT '{}',
    PRIMARY KEY (id, time),
    CONSTRAINT chk_trading_events_type CHECK (
        event_type IN ('order_placed', 'order_filled', 'order_cancelled', 'order_rejected', 'dividend', 'deposit', 'withdrawal', 'fee')
    ),
    CONSTRAINT chk_trading_events_amounts CHECK (quantity > 0 AND price > 0),
    CONSTRAINT chk_trading_events_order CHECK (event_type NOT LIKE 'order\_%' OR (symbol IS NOT NULL AND quantity IS NOT NULL)),
    CONSTRAINT chk_trading_events_details_is_object CHECK (jsonb_typeof(details) = 'object')
);

SELECT create_hypertable('events.system_events', 'time',
    chunk_time_interval => INTERVAL '7 days', create_default_indexes => FALSE);
SELECT create_hypertable('events.trading_events', 'time',
    chunk_time_interval => INTERVAL '30 days', create_default_indexes => FALSE);

CREATE INDEX idx_system_events_time ON events.system_events (time DESC);
CREATE INDEX idx_system_events_service_time ON events.system_events (service, time DESC);
CREATE INDEX idx_system_events_user_time ON events.system_events (user_id, time DESC) WHERE user_id IS NOT NULL;
CREATE INDEX idx_system_events_problems ON events.system_events (time DESC) WHERE severity IN ('error', 'critical');
CREATE INDEX idx_trading_events_time ON events.trading_events (time DESC);
CREATE INDEX idx_trading_events_portfolio_time ON events.trading_events (portfolio_id, time DESC);
CREATE INDEX idx_trading_events_user_time ON events.trading_events (user_id, time DESC);
CREATE INDEX idx_trading_events_symbol_time ON events.trading_events (symbol, time DESC) WHERE symbol IS NOT NULL;

COMMENT ON SCHEMA events IS 'What happened, in the system and in trading';
COMMENT ON TABLE events.system_events IS 'System audit trail: rows are added and never changed';
COMMENT ON TABLE events.trading_events IS 'Trading activity log: rows are added and never changed';

REVOKE UPDATE, DELETE ON events.system_events, events.trading_events FROM timeseries_app;
