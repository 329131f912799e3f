-- Tables by size.
-- Names are quoted, and a hypertable's size is that of its chunks: pg_total_relation_size() sees only its empty parent.
SELECT
    schemaname,
    tablename,
    pg_size_pretty(bytes) AS size
FROM pg_tables
LEFT JOIN timescaledb_information.hypertables
    ON hypertable_schema = schemaname AND hypertable_name = tablename
CROSS JOIN LATERAL (SELECT format('%I.%I', schemaname, tablename)::regclass AS relation) AS named
CROSS JOIN LATERAL (
    SELECT CASE WHEN hypertable_name IS NULL THEN pg_total_relation_size(relation) ELSE hypertable_size(relation) END AS bytes
) AS sized
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
  AND schemaname NOT LIKE '\_timescaledb\_%'
ORDER BY bytes DESC;
