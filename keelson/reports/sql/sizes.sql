-- Tables by size with their indexes, TOAST and estimated rows; partitions and chunks count for their table
WITH RECURSIVE tree AS (
    SELECT c.oid, c.oid AS root
    FROM pg_catalog.pg_class AS c
    WHERE c.relkind IN ('r', 'p', 'm') AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid)
    UNION ALL
    SELECT i.inhrelid, tree.root
    FROM tree
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.oid
)
SELECT
    n.nspname AS schema,
    root.relname AS "table",
    sum(pg_catalog.pg_total_relation_size(c.oid))::bigint AS total_bytes,
    sum(pg_catalog.pg_relation_size(c.oid))::bigint AS heap_bytes,
    sum(pg_catalog.pg_indexes_size(c.oid))::bigint AS index_bytes,
    sum(COALESCE(pg_catalog.pg_total_relation_size(NULLIF(c.reltoastrelid, 0)), 0))::bigint AS toast_bytes,
    sum(GREATEST(c.reltuples, 0))::bigint AS rows_estimated,
    count(*) - 1 AS parts
FROM tree
JOIN pg_catalog.pg_class AS c ON c.oid = tree.oid
JOIN pg_catalog.pg_class AS root ON root.oid = tree.root
JOIN pg_catalog.pg_namespace AS n ON n.oid = root.relnamespace
WHERE n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_)'
GROUP BY n.nspname, root.relname
ORDER BY total_bytes DESC, schema, "table"
