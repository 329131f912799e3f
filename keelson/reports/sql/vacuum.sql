-- Dead rows, and when tables were vacuumed and analyzed last, the most dead rows first
SELECT
    s.schemaname AS schema,
    s.relname AS "table",
    s.n_live_tup AS live_rows,
    s.n_dead_tup AS dead_rows,
    round(100.0 * s.n_dead_tup / NULLIF(s.n_live_tup + s.n_dead_tup, 0), 1) AS dead_percent,
    s.n_mod_since_analyze AS changed_since_analyze,
    date_trunc('second', GREATEST(s.last_vacuum, s.last_autovacuum)) AS vacuumed,
    date_trunc('second', GREATEST(s.last_analyze, s.last_autoanalyze)) AS analyzed,
    pg_catalog.age(c.relfrozenxid) AS transaction_id_age
FROM pg_catalog.pg_stat_user_tables AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.relid
WHERE s.schemaname !~ '^_timescaledb_c'
ORDER BY dead_rows DESC, schema, "table"
