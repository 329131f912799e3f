SELECT 'language ' || quote_ident(l.lanname) AS object, 'reaches files and programs of the server' AS what
FROM pg_catalog.pg_language l WHERE NOT l.lanpltrusted AND l.lanname NOT IN ('internal', 'c')
UNION ALL
SELECT p.oid::regprocedure::text, coalesce(quote_ident(g.rolname), 'PUBLIC') || ' may run it'
FROM pg_catalog.pg_proc p CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) a LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee
WHERE p.pronamespace = 'pg_catalog'::regnamespace
  AND p.proname IN ('pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'pg_stat_file', 'lo_import', 'lo_export')
  AND a.grantee <> p.proowner AND NOT coalesce(g.rolsuper OR g.rolreplication, false)
