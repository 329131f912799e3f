-- Who is connected, by role, application and state
SELECT
    usename AS role,
    application_name AS application,
    host(client_addr) AS client,
    state,
    count(*) AS connections,
    date_trunc('second', max(clock_timestamp() - backend_start)) AS oldest,
    date_trunc('second', max(clock_timestamp() - xact_start)) AS longest_transaction
FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
GROUP BY usename, application_name, client_addr, state
ORDER BY connections DESC, role, application, client, state
