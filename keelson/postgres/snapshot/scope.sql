-- What belongs to a database's own schema, under the names by which snapshots compare it; the head of each query here.
-- Left out: what extensions made, TimescaleDB's chunks, and Keelson's ledgers.
WITH extended AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), spaces AS (
    SELECT n.*, format('%I', n.nspname) AS name FROM pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid)
), ledgers AS (
    SELECT c.oid FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND c.relname IN ('schema_versions', 'schema_steps', 'schema_history', 'schema_seeds')
), relations AS (
    SELECT c.*, format('%I.%I', s.nspname, c.relname) AS name,
        CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
            WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'table' END AS kind
    FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c') AND c.relpersistence <> 't'
      AND c.relname !~ '^_hyper_\d+_\d+_chunk$'
      AND c.oid NOT IN (SELECT oid FROM ledgers)
      AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)
      AND NOT (c.relkind = 'S' AND EXISTS (
          SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
            AND d.refclassid = 'pg_class'::regclass
            AND (d.deptype = 'i' OR d.deptype = 'a' AND d.refobjid IN (SELECT oid FROM ledgers))))
), tables AS (
    SELECT * FROM relations WHERE relkind NOT IN ('S', 'c')
), routines AS (
    SELECT p.*, format('%I.%I(%s)', s.nspname, p.proname, oidvectortypes(p.proargtypes)) AS name,
        CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind
    FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)
      AND NOT EXISTS (  -- the constructors of a range
          SELECT FROM pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_type'::regclass AND d.deptype = 'i')
), types AS (
    SELECT t.*, format('%I.%I', s.nspname, t.typname) AS name, 'type' AS kind
    FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.typtype <> 'm' AND (t.typrelid = 0 OR c.relkind = 'c')
      AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
      AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid)
)
