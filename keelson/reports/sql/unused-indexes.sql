-- Indexes that no query used since the statistics were reset, and that uphold no constraint
SELECT
    s.schemaname AS schema,
    s.relname AS "table",
    s.indexrelname AS index,
    pg_catalog.pg_relation_size(s.indexrelid) AS total_bytes,
    t.seq_scan + COALESCE(t.idx_scan, 0) AS table_scans,
    t.n_tup_ins + t.n_tup_upd + t.n_tup_del AS table_writes
FROM pg_catalog.pg_stat_user_indexes AS s
JOIN pg_catalog.pg_stat_user_tables AS t ON t.relid = s.relid
JOIN pg_catalog.pg_index AS i ON i.indexrelid = s.indexrelid
WHERE s.idx_scan = 0
  AND NOT i.indisunique
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS c WHERE c.conindid = s.indexrelid)
  -- The scans of a partitioned table or hypertable are counted at its parts.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhparent = s.relid)
  AND s.schemaname !~ '^_timescaledb_'
ORDER BY total_bytes DESC, schema, "table", index
