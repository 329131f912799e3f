-- How much of their numbers sequences have used, by the type of the column that they fill, the fullest first
WITH filled AS (
    SELECT
        d.objid AS sequence,
        min(CASE a.atttypid::regtype::text WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647 END) AS largest
    FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    GROUP BY d.objid
)
SELECT
    s.schemaname AS schema,
    s.sequencename AS sequence,
    s.last_value,
    LEAST(s.max_value, filled.largest) AS largest,
    round(100.0 * s.last_value / LEAST(s.max_value, filled.largest), 2) AS used_percent
FROM pg_catalog.pg_sequences AS s
LEFT JOIN filled ON filled.sequence = format('%I.%I', s.schemaname, s.sequencename)::regclass
WHERE NOT s.cycle AND s.increment_by > 0 AND s.last_value IS NOT NULL AND s.schemaname !~ '^_timescaledb_'
ORDER BY used_percent DESC, schema, sequence
