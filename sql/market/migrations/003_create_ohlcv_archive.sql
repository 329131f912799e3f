-- The columns of market_data.ohlcv in the same order, so that INSERT … SELECT * fits.
CREATE TABLE market_data.ohlcv_archive (
    LIKE market_data.ohlcv INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    PRIMARY KEY (symbol, "timestamp")
);

SELECT create_hypertable('market_data.ohlcv_archive', 'timestamp',
    chunk_time_interval => INTERVAL '90 days',
    create_default_indexes => FALSE);

CREATE INDEX idx_ohlcv_archive_timestamp ON market_data.ohlcv_archive ("timestamp" DESC);

CREATE FUNCTION market_data.archive_ohlcv(before TIMESTAMPTZ) RETURNS BIGINT
LANGUAGE sql AS $$
    WITH archived AS (
        INSERT INTO market_data.ohlcv_archive
        SELECT * FROM market_data.ohlcv WHERE "timestamp" < before
        ON CONFLICT (symbol, "timestamp") DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM archived
$$;

COMMENT ON TABLE market_data.ohlcv_archive IS 'Bars older than the retention of market_data.ohlcv';
COMMENT ON FUNCTION market_data.archive_ohlcv IS
    'Copies the bars before the given time into the archive and returns how many were new; the originals stay for the retention';
