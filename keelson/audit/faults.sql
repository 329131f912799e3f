-- Entries that are not as they were written, by core functions alone: what the database says of itself counts for nothing here.
WITH linked AS (
    SELECT lane, number, hash, previous,
        lag(number, 1, 0::bigint) OVER in_lane AS last,
        lag(hash, 1, ''::bytea) OVER in_lane AS before,
        pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
            lane, number, pg_catalog.to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), transaction, login,
            actor, relation, operation, row_key, changed, pg_catalog.encode(digest, 'hex'), pg_catalog.encode(previous, 'hex')
        )::text, 'UTF8')) AS expected
    FROM audit.entries
    WINDOW in_lane AS (PARTITION BY lane ORDER BY number)
)
SELECT lane, number, CASE
    WHEN hash <> expected THEN 'was changed after it was written'
    WHEN number <> last + 1 THEN 'does not follow ' || last || ': entries between them are gone'
    ELSE 'does not follow the entry before it, which is another one now'
END
FROM linked
WHERE hash <> expected OR number <> last + 1 OR previous <> before
UNION ALL
SELECT lane, number, CASE WHEN e.lane IS NULL THEN 'has values, but is gone' ELSE 'has other values than were written' END
FROM audit.details d
LEFT JOIN audit.entries e USING (lane, number)
WHERE e.lane IS NULL
   OR e.digest <> pg_catalog.sha256(d.salt || pg_catalog.convert_to(pg_catalog.jsonb_build_array(d.old, d.new)::text, 'UTF8'))
ORDER BY 1, 2
LIMIT 100
