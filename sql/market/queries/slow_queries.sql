-- The ten statements that took the most time.
-- Since PostgreSQL 13 the time is total_exec_time; the text of other roles' statements takes pg_read_all_stats.
SELECT
    query,
    calls,
    round(total_exec_time::numeric, 1) AS total_ms,
    round(mean_exec_time::numeric, 2) AS mean_ms,
    rows
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC
LIMIT 10;
