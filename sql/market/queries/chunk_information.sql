-- Chunks of the bars, with their range and size.
-- timescaledb_information.chunks has no sizes; chunks_detailed_size() has them.
SELECT
    chunks.hypertable_name,
    chunks.chunk_name,
    pg_size_pretty(sizes.total_bytes) AS size,
    chunks.range_start,
    chunks.range_end
FROM timescaledb_information.chunks
JOIN chunks_detailed_size('market_data.ohlcv') AS sizes USING (chunk_schema, chunk_name)
WHERE chunks.hypertable_schema = 'market_data'
  AND chunks.hypertable_name = 'ohlcv'
ORDER BY chunks.range_start DESC;
