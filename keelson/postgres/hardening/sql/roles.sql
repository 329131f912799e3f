-- Roles, without those that PostgreSQL itself has made; `belongs_to` are the roles of which they are members, however indirectly.
WITH RECURSIVE memberships(member, role) AS (
    SELECT member, roleid FROM pg_catalog.pg_auth_members
    UNION SELECT m.member, a.roleid FROM memberships m JOIN pg_catalog.pg_auth_members a ON a.member = m.role
)
SELECT r.rolname, r.oid = 10, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolbypassrls, r.rolreplication, r.rolcanlogin,
    r.rolconnlimit, coalesce(r.rolvaliduntil, 'infinity') < 'infinity',
    CASE WHEN r.rolpassword IS NULL THEN 'none' WHEN r.rolpassword ~ '^SCRAM-SHA-256[$]' THEN 'scram' ELSE 'weak' END,
    coalesce(array_agg(g.rolname::text ORDER BY g.rolname) FILTER (WHERE g.oid IS NOT NULL), '{}'),
    EXISTS (SELECT FROM pg_catalog.pg_shdepend d
            WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o')
FROM pg_catalog.pg_authid r
LEFT JOIN memberships m ON m.member = r.oid LEFT JOIN pg_catalog.pg_roles g ON g.oid = m.role
WHERE r.rolname !~ '^pg_'
GROUP BY r.oid, r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolbypassrls, r.rolreplication, r.rolcanlogin,
    r.rolconnlimit, r.rolvaliduntil, r.rolpassword
ORDER BY r.rolname
