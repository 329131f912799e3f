SELECT 'schema' AS kind, name, '' AS part, jsonb_build_object('comment', obj_description(oid, 'pg_namespace')) AS facts
FROM spaces
UNION ALL
SELECT 'extension', format('%I', extname), '', jsonb_build_object('version', extversion, 'schema', extnamespace::regnamespace)
FROM pg_extension
UNION ALL
SELECT 'publication', format('%I', p.pubname), '', jsonb_build_object(
    'all tables', CASE WHEN p.puballtables THEN 'yes' END,
    'operations', concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
        CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END),
    'through the root', CASE WHEN pubviaroot THEN 'yes' END,
    'table', (
        SELECT jsonb_object_agg(r.prrelid::regclass, concat_ws(' ',
            '(' || (SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum)
                    FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)) || ')',
            'WHERE ' || pg_get_expr(r.prqual, r.prrelid), CASE WHEN num_nulls(r.prattrs::text, r.prqual::text) = 2 THEN 'whole' END))
        FROM pg_publication_rel r WHERE r.prpubid = p.oid),
    'schemas', (SELECT jsonb_agg(s.pnnspid::regnamespace::text ORDER BY s.pnnspid::regnamespace::text)
                FROM pg_publication_namespace s WHERE s.pnpubid = p.oid),
    'comment', obj_description(p.oid, 'pg_publication'))
FROM pg_publication p
UNION ALL
SELECT 'event trigger', format('%I', t.evtname), '', jsonb_build_object(
    'event', t.evtevent, 'tags', to_jsonb(t.evttags), 'function', t.evtfoid::regproc,
    'fires', CASE t.evtenabled WHEN 'D' THEN 'never' WHEN 'R' THEN 'on a replica' WHEN 'A' THEN 'always' END,
    'comment', obj_description(t.oid, 'pg_event_trigger'))
FROM pg_event_trigger t
WHERE NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_event_trigger'::regclass AND e.objid = t.oid)
UNION ALL
SELECT 'database', 'itself', '', jsonb_build_object(
    'encoding', pg_encoding_to_char(d.encoding), 'collation', d.datcollate, 'character type', d.datctype,
    'connection limit', CASE WHEN d.datconnlimit >= 0 THEN d.datconnlimit::text END,
    'settings', (SELECT jsonb_agg(c ORDER BY c) FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setdatabase = d.oid AND s.setrole = 0),
    'comment', shobj_description(d.oid, 'pg_database'))
FROM pg_database d WHERE d.datname = current_database()
UNION ALL
SELECT 'role', r.rolname, '', jsonb_build_object(
    'superuser', CASE WHEN r.rolsuper THEN 'yes' END, 'login', CASE WHEN r.rolcanlogin THEN 'yes' END,
    'makes databases', CASE WHEN r.rolcreatedb THEN 'yes' END, 'makes roles', CASE WHEN r.rolcreaterole THEN 'yes' END,
    'replication', CASE WHEN r.rolreplication THEN 'yes' END, 'bypasses row security', CASE WHEN r.rolbypassrls THEN 'yes' END,
    'inherits', CASE WHEN NOT r.rolinherit THEN 'no' END,
    'connection limit', CASE WHEN r.rolconnlimit >= 0 THEN r.rolconnlimit::text END,
    'valid until', r.rolvaliduntil::text,
    'settings', (
        SELECT jsonb_agg(c ORDER BY c) FROM pg_db_role_setting s, unnest(s.setconfig) c
        WHERE s.setrole = r.oid AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))),
    'member of', (
        SELECT jsonb_object_agg(pg_get_userbyid(m.roleid), concat_ws(', ', 'member', CASE WHEN m.inherit_option THEN 'inherits' END,
            CASE WHEN m.set_option THEN 'may become it' END, CASE WHEN m.admin_option THEN 'may grant it' END))
        FROM (
            SELECT a.roleid, bool_or(a.admin_option) AS admin_option,
                bool_or(coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, r.rolinherit)) AS inherit_option,  -- since 16
                bool_or(coalesce((to_jsonb(a) ->> 'set_option')::boolean, true)) AS set_option
            FROM pg_auth_members a WHERE a.member = r.oid GROUP BY a.roleid) m),
    'has member', (SELECT jsonb_object_agg(pg_get_userbyid(m.member), 'yes') FROM pg_auth_members m WHERE m.roleid = r.oid))
FROM pg_roles r WHERE r.rolname = ANY (string_to_array(current_setting('keelson.roles'), ','))
UNION ALL
SELECT i.type, i.identity, '', '{}'
FROM (
    SELECT 'pg_am'::regclass AS classid, oid FROM pg_am UNION ALL SELECT 'pg_cast'::regclass, oid FROM pg_cast
    UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_foreign_server'::regclass, oid FROM pg_foreign_server UNION ALL SELECT 'pg_language'::regclass, oid FROM pg_language
    UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator
    UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily UNION ALL SELECT 'pg_transform'::regclass, oid FROM pg_transform
    UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict
    UNION ALL SELECT 'pg_ts_parser'::regclass, oid FROM pg_ts_parser
) o, LATERAL pg_identify_object(o.classid, o.oid, 0) i
WHERE o.oid >= 16384 AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = o.classid AND e.objid = o.oid)
