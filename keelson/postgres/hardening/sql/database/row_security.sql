-- A table whose owner nobody works as need not be forced: its rows are hidden from all who do.
SELECT c.oid::regclass::text AS object,
    CASE WHEN c.relrowsecurity THEN 'row-level security is not forced, and ' || w.logins || ' may work as its owner'
        WHEN p.has_policies THEN 'it has policies, and row-level security is off'
        ELSE 'it has a column tenant_id, and row-level security is off' END AS what
FROM relations c
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_catalog.pg_policy y WHERE y.polrelid = c.oid) AS has_policies) p
CROSS JOIN LATERAL (
    SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) AS logins FROM pg_catalog.pg_roles r
    WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> ALL (%(passwordless)s)
      AND pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')) w
WHERE c.relkind IN ('r', 'p') AND (
    c.relrowsecurity AND NOT c.relforcerowsecurity AND w.logins IS NOT NULL
    OR NOT c.relrowsecurity AND (p.has_policies OR EXISTS (
        SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)))
