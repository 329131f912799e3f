-- Transactions that have been open for more than a minute, idle ones too, the oldest first
SELECT
    pid,
    usename AS role,
    application_name AS application,
    state,
    date_trunc('second', clock_timestamp() - xact_start) AS open_for,
    date_trunc('second', clock_timestamp() - state_change) AS in_state_for,
    wait_event_type || ': ' || wait_event AS waits_for,
    left(regexp_replace(query, '\s+', ' ', 'g'), 200) AS query
FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database()
  AND backend_type = 'client backend'
  AND xact_start < clock_timestamp() - INTERVAL '1 minute'
ORDER BY xact_start, pid
