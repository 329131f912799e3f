SELECT DISTINCT r.rolname FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a
JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE d.datname = %s AND a.privilege_type IN ('CONNECT', 'TEMPORARY') AND r.rolname <> ALL(%s)
