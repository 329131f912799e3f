-- The tables whose rows pg_dump writes, extensions' own where they ask for it (then with their condition); columns by their names,
-- as a restore may give those that a child table inherits another place. How a column is hashed:
--   value  by the hash of its type, for types of which equal values are the same, on every server
--   text   by its text, which costs nothing for these, or has no other way
--   row    by its text in a row, which no cast of anybody's changes: domains, enums (whose hash is that of a number of this server), arrays …
SELECT n.nspname, c.relname, '' AS condition, false AS of_extension, ARRAY(
    SELECT ARRAY[a.attname::text, CASE
        WHEN a.atttypid IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'float4'::regtype, 'float8'::regtype,
            'date'::regtype, 'time'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'uuid'::regtype, 'bytea'::regtype)
            OR a.atttypid = 'numeric'::regtype AND a.atttypmod >= 0 THEN 'value'
        WHEN a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'json'::regtype, 'jsonb'::regtype, 'numeric'::regtype) THEN 'text'
        ELSE 'row' END]
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attname) AS columns
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT n.nspname, c.relname, u.condition, true, '{}'
FROM pg_catalog.pg_extension e, unnest(e.extconfig, e.extcondition) AS u(relation, condition)
JOIN pg_catalog.pg_class c ON c.oid = u.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
ORDER BY 1, 2
