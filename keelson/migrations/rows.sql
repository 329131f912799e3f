-- About how many rows each table has by the server's own statistics, partitions and chunks counted for their table.
WITH RECURSIVE tree (root, relation) AS (
    SELECT c.oid, c.oid
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm')
      AND n.nspname !~ '^(pg_|information_schema$|_timescaledb)'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
    UNION ALL
    SELECT tree.root, i.inhrelid
    FROM tree
    JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.relation
)
-- A partitioned table's own figure counts its partitions once more.
SELECT n.nspname, root.relname, sum(greatest(c.reltuples, 0))::bigint
FROM tree
JOIN pg_catalog.pg_class c ON c.oid = tree.relation AND c.relkind <> 'p'
JOIN pg_catalog.pg_class root ON root.oid = tree.root
JOIN pg_catalog.pg_namespace n ON n.oid = root.relnamespace
GROUP BY n.nspname, root.relname
HAVING sum(greatest(c.reltuples, 0)) >= %(least)s
ORDER BY 3 DESC, 1, 2
LIMIT %(most)s
