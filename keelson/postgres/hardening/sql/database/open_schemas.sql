SELECT 'schema ' || quote_ident(n.nspname) AS object, 'PUBLIC has ' || string_agg(a.privilege_type, ' and ' ORDER BY 1) AS what
FROM spaces n, pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
WHERE a.grantee = 0 AND a.privilege_type IN ('CREATE', 'USAGE')
GROUP BY n.nspname
