-- Texts that people wrote into the connected database, in which a password may stand.
SELECT 'the function ' || p.oid::regprocedure, p.prosrc FROM pg_catalog.pg_proc p
WHERE p.oid >= 16384 AND p.prosrc <> ''
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT 'the comment on ' || pg_catalog.pg_describe_object(c.classoid, c.objoid, c.objsubid), c.description
FROM pg_catalog.pg_description c WHERE c.objoid >= 16384 OR (c.classoid, c.objoid) IN (SELECT 'pg_namespace'::regclass, n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public')
