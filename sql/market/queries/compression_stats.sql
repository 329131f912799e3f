-- Edition: community
-- What compression saved, by chunk of the bars.
-- The status and the sizes before and after come from chunk_compression_stats(), not from timescaledb_information.chunks.
SELECT
    'ohlcv' AS hypertable_name,
    chunk_name,
    compression_status,
    pg_size_pretty(before_compression_total_bytes) AS original,
    pg_size_pretty(after_compression_total_bytes) AS compressed
FROM chunk_compression_stats('market_data.ohlcv')
WHERE compression_status = 'Compressed';
