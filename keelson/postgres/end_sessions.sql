-- Waits until each has ended, so that what it has committed is there for the next snapshot.
SELECT pg_catalog.pg_terminate_backend(a.pid, 10000) FROM pg_catalog.pg_stat_activity a
JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = %s AND a.backend_type = 'client backend' AND NOT r.rolsuper AND r.rolname <> %s
