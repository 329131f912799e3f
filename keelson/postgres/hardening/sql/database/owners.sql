SELECT o.object, 'belongs to ' || quote_ident(o.owner::regrole::name) AS what
FROM (
    SELECT 'schema ' || quote_ident(nspname) AS object, nspowner AS owner FROM spaces
    UNION ALL SELECT oid::regclass::text, relowner FROM relations
    UNION ALL SELECT oid::regprocedure::text, proowner FROM routines
    UNION ALL SELECT 'type ' || oid::regtype, typowner FROM types
) o
WHERE o.owner::regrole::name NOT IN (%(owner)s, 'pg_database_owner')
