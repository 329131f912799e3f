SELECT p.oid::regprocedure::text AS object, 'PUBLIC may run it as ' || quote_ident(p.proowner::regrole::name) AS what
FROM routines p, pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
WHERE p.prosecdef AND a.grantee = 0 AND a.privilege_type = 'EXECUTE'
