-- Who owns what, and who may do what with it; a missing list of privileges is the one that it stands for.
, holders AS (
    SELECT kind, name, '' AS part, relowner AS owner,
        coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)) AS acl
    FROM relations WHERE relkind <> 'c'
    UNION ALL
    SELECT r.kind, r.name, format('column %I', a.attname), NULL, a.attacl
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT kind, name, '', proowner, coalesce(proacl, acldefault('f', proowner)) FROM routines
    UNION ALL
    SELECT kind, name, '', typowner, coalesce(typacl, acldefault('T', typowner)) FROM types
    UNION ALL
    SELECT 'schema', name, '', nspowner, coalesce(nspacl, acldefault('n', nspowner)) FROM spaces
    UNION ALL
    SELECT 'database', 'itself', '', datdba, coalesce(datacl, acldefault('d', datdba))
    FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'default privileges',
        format('of %s%s on %s', d.defaclrole::regrole, ' in schema ' || nullif(d.defaclnamespace, 0)::regnamespace,
            CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types'
                WHEN 'n' THEN 'schemas' ELSE d.defaclobjtype::text END),
        '', NULL, d.defaclacl
    FROM pg_default_acl d
)
SELECT kind, name, part, jsonb_build_object(
    'owner', pg_get_userbyid(owner),
    'grants to', (
        SELECT jsonb_object_agg(g.grantee, g.privileges)
        FROM (
            SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS grantee,
                string_agg(DISTINCT a.privilege_type || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END, ', ') AS privileges
            FROM aclexplode(acl) a
            WHERE kind <> 'database' OR a.grantee IS DISTINCT FROM (SELECT oid FROM pg_roles WHERE rolname = 'backup')  -- the server's
            GROUP BY a.grantee
        ) g)
) AS facts
FROM holders
