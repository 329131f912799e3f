-- Of the connected database: the roles that its owner, its grants, policies and settings name (`named`), and with them those
-- that are members of these, or of which these are members (`all`). PostgreSQL's own, and the login for backups, are in neither.
WITH RECURSIVE here AS (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),
named AS (
    SELECT s.refobjid AS oid FROM pg_catalog.pg_shdepend s, here
    WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass
      AND (s.dbid = here.oid OR (s.classid = 'pg_catalog.pg_database'::regclass AND s.objid = here.oid))
    UNION SELECT setrole FROM pg_catalog.pg_db_role_setting, here WHERE setdatabase = here.oid
    UNION SELECT datdba FROM pg_catalog.pg_database d, here WHERE d.oid = here.oid
),
below AS (
    SELECT oid FROM named UNION SELECT m.member FROM pg_catalog.pg_auth_members m JOIN below b ON b.oid = m.roleid
),
above AS (
    SELECT oid FROM below UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN above a ON a.oid = m.member
)
SELECT r.oid, r.rolname, r.oid IN (SELECT oid FROM named) AS is_named
FROM pg_catalog.pg_roles r JOIN above USING (oid)
WHERE r.oid >= 16384  -- FirstNormalObjectId
  AND r.rolname <> 'backup'  -- each server has its own
ORDER BY r.rolname
