-- Description: Create the trades table
CREATE TABLE IF NOT EXISTS trades (
    trade_id    BIGINT NOT NULL,
    symbol      VARCHAR(20) NOT NULL REFERENCES securities (symbol) ON UPDATE CASCADE,
    executed_at TIMESTAMPTZ NOT NULL,
    price       NUMERIC(20, 8) NOT NULL,
    size        BIGINT NOT NULL,
    venue       CHAR(4) NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (symbol, executed_at, trade_id),
    CONSTRAINT chk_trades_price CHECK (price > 0),
    CONSTRAINT chk_trades_size CHECK (size > 0)
);

SELECT create_hypertable('trades', 'executed_at',
    chunk_time_interval => INTERVAL '7 days',
    create_default_indexes => FALSE,
    if_not_exists => TRUE);

COMMENT ON TABLE trades IS 'Trades as the venues reported them';
