CREATE TABLE market_data.ohlcv (
    id           UUID DEFAULT gen_random_uuid(),
    symbol       VARCHAR(20) NOT NULL,
    "timestamp"  TIMESTAMPTZ NOT NULL,
    open         NUMERIC(20, 8) NOT NULL CHECK (open > 0),
    high         NUMERIC(20, 8) NOT NULL CHECK (high > 0),
    low          NUMERIC(20, 8) NOT NULL CHECK (low > 0),
    close        NUMERIC(20, 8) NOT NULL CHECK (close > 0),
    volume       BIGINT NOT NULL CHECK (volume >= 0),
    vwap         NUMERIC(20, 8),
    trades_count INTEGER,
    timeframe    VARCHAR(10) NOT NULL,
    source       VARCHAR(50) NOT NULL,
    created_at   TIMESTAMPTZ DEFAULT NOW(),
    updated_at   TIMESTAMPTZ DEFAULT NOW(),
    PRIMARY KEY (symbol, "timestamp")
);

-- On its own: inside CREATE TABLE, PostgreSQL silently merges a unique constraint with a primary key on the same columns.
ALTER TABLE market_data.ohlcv
    ADD CONSTRAINT uq_ohlcv_symbol_time UNIQUE (symbol, "timestamp"),
    ADD CONSTRAINT chk_high_low CHECK (high >= low),
    ADD CONSTRAINT chk_high_prices CHECK (high >= open AND high >= close),
    ADD CONSTRAINT chk_low_prices CHECK (low <= open AND low <= close);

SELECT create_hypertable('market_data.ohlcv', 'timestamp',
    chunk_time_interval => INTERVAL '7 days',
    create_default_indexes => FALSE);

CREATE INDEX idx_ohlcv_symbol_time ON market_data.ohlcv (symbol, "timestamp" DESC);
CREATE INDEX idx_ohlcv_timestamp ON market_data.ohlcv ("timestamp" DESC);

CREATE TRIGGER trg_ohlcv_updated_at BEFORE UPDATE ON market_data.ohlcv
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE market_data.ohlcv IS 'Bars of one timeframe for each symbol; the time is the start of the bar';
COMMENT ON COLUMN market_data.ohlcv.vwap IS 'Volume-weighted average price of the bar';
