-- Chunks of hypertables: their range, size and estimated rows, the newest first
-- Extension: timescaledb
SELECT
    hypertable_schema || '.' || hypertable_name AS hypertable,
    chunk_name AS chunk,
    COALESCE(range_start::text, range_start_integer::text) AS "from",
    COALESCE(range_end::text, range_end_integer::text) AS "to",
    pg_catalog.pg_total_relation_size(c.oid) AS total_bytes,
    GREATEST(c.reltuples, 0)::bigint AS rows_estimated,
    is_compressed AS compressed
FROM timescaledb_information.chunks
JOIN pg_catalog.pg_namespace AS n ON n.nspname = chunk_schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = chunk_name
ORDER BY hypertable, range_end DESC, range_end_integer DESC, chunk
