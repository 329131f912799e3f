-- Which tables refer to which, and what becomes of a row when the one that it refers to is deleted.
SELECT cn.nspname || '.' || c.relname, pn.nspname || '.' || p.relname, k.confdeltype::text
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid AND NOT c.relispartition
JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = k.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND cn.nspname !~ '^(pg_|_?timescaledb|keelson$)'
ORDER BY 1, 2
