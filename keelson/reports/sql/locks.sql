-- Who waits for whom: sessions that wait for a lock, and those that hold it
SELECT
    waiting.pid AS waits,
    waiting.usename AS role,
    date_trunc('second', clock_timestamp() - waiting.state_change) AS since,
    waiting_lock.mode AS wants,
    waiting_lock.relation::regclass::text AS "table",
    left(regexp_replace(waiting.query, '\s+', ' ', 'g'), 100) AS query,
    holding.pid AS holder,
    holding.usename AS holder_role,
    holding.state AS holder_state,
    date_trunc('second', clock_timestamp() - holding.xact_start) AS holder_transaction,
    left(regexp_replace(holding.query, '\s+', ' ', 'g'), 100) AS holder_query
FROM pg_catalog.pg_stat_activity AS waiting
CROSS JOIN LATERAL unnest(pg_catalog.pg_blocking_pids(waiting.pid)) AS blocking (pid)
JOIN pg_catalog.pg_stat_activity AS holding ON holding.pid = blocking.pid
LEFT JOIN pg_catalog.pg_locks AS waiting_lock ON waiting_lock.pid = waiting.pid AND NOT waiting_lock.granted
WHERE waiting.datname = pg_catalog.current_database()
ORDER BY waiting.state_change, waits, holder
