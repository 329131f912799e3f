SELECT
    d.datname,
    pg_catalog.pg_database_size(d.oid) AS size,
    s.numbackends,
    s.xact_commit,
    s.xact_rollback,
    s.blks_hit,
    s.blks_read,
    s.deadlocks,
    pg_catalog.age(d.datfrozenxid) AS transaction_id_age,
    COALESCE((
        SELECT GREATEST(0, EXTRACT(EPOCH FROM pg_catalog.max(pg_catalog.clock_timestamp() - a.xact_start)))
        FROM pg_catalog.pg_stat_activity AS a
        WHERE a.datid = d.oid AND a.backend_type = 'client backend'
    ), 0)::float8 AS oldest_transaction,
    pg_catalog.current_setting('max_connections')::int AS max_connections
FROM pg_catalog.pg_database AS d
JOIN pg_catalog.pg_stat_database AS s ON s.datid = d.oid
WHERE d.datname = ANY(%s)
ORDER BY d.datname
