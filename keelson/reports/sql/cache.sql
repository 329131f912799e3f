-- How often tables and their indexes were found in the server's memory, the most read from disk first
SELECT
    schemaname AS schema,
    relname AS "table",
    round(100.0 * heap_blks_hit / NULLIF(heap_blks_hit + heap_blks_read, 0), 1) AS table_percent,
    round(100.0 * idx_blks_hit / NULLIF(idx_blks_hit + idx_blks_read, 0), 1) AS index_percent,
    heap_blks_read + COALESCE(idx_blks_read, 0) + COALESCE(toast_blks_read, 0) AS blocks_read,
    heap_blks_hit + COALESCE(idx_blks_hit, 0) + COALESCE(toast_blks_hit, 0) AS blocks_hit
FROM pg_catalog.pg_statio_user_tables
WHERE heap_blks_hit + heap_blks_read > 0 AND schemaname !~ '^_timescaledb_c'
ORDER BY blocks_read DESC, schema, "table"
