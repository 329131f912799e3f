-- Statements that took the most time since the statistics were reset (pg_stat_statements), without their values
-- Extension: pg_stat_statements
SELECT
    round(s.total_exec_time::numeric, 1) AS total_ms,
    round((100 * s.total_exec_time / NULLIF(sum(s.total_exec_time) OVER (), 0))::numeric, 1) AS percent,
    s.calls,
    round(s.mean_exec_time::numeric, 2) AS mean_ms,
    round(s.max_exec_time::numeric, 1) AS max_ms,
    s.rows,
    round(100.0 * s.shared_blks_hit / NULLIF(s.shared_blks_hit + s.shared_blks_read, 0), 1) AS cache_percent,
    pg_catalog.pg_get_userbyid(s.userid) AS role,
    left(regexp_replace(s.query, '\s+', ' ', 'g'), 200) AS query
FROM public.pg_stat_statements AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
WHERE d.datname = pg_catalog.current_database() AND s.toplevel
ORDER BY s.total_exec_time DESC, s.queryid
