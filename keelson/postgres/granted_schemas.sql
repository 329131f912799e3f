SELECT n.nspname FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
WHERE a.grantee = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s) AND a.privilege_type = 'USAGE'
