DROP FUNCTION market_data.archive_ohlcv(TIMESTAMPTZ);
DROP TABLE market_data.ohlcv_archive;
