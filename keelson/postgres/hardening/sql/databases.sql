SELECT d.datname, o.rolname, d.datallowconn AND NOT d.datistemplate,
    ARRAY(SELECT a.privilege_type FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
          WHERE a.grantee = 0 ORDER BY 1),
    ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r
          WHERE r.rolcanlogin AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT'))
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba
WHERE d.datconnlimit <> -2 ORDER BY d.datname
