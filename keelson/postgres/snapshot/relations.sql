SELECT kind, name, '' AS part, jsonb_build_object(
    'persistence', CASE relpersistence WHEN 'u' THEN 'unlogged' END,
    'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(reloptions) o),
    'row security', CASE WHEN relrowsecurity AND relforcerowsecurity THEN 'on, for the owner too' WHEN relrowsecurity THEN 'on'
        WHEN relforcerowsecurity THEN 'off, but forced' END,
    'partitioned by', CASE relkind WHEN 'p' THEN pg_get_partkeydef(oid) END,
    'partition', CASE WHEN relispartition THEN pg_get_expr(relpartbound, oid) END,
    'inherits', (SELECT jsonb_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = tables.oid),
    'of type', CASE WHEN reloftype <> 0 THEN reloftype::regtype::text END,
    'replica identity', CASE relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' WHEN 'i' THEN (
        SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = tables.oid AND i.indisreplident) END,
    'tablespace', (SELECT t.spcname FROM pg_tablespace t WHERE t.oid = reltablespace),
    'access method', (SELECT a.amname FROM pg_am a WHERE a.oid = relam AND a.amname <> 'heap'),
    'server', (SELECT s.srvname FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = tables.oid),
    'definition', CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END,
    'comment', obj_description(oid, 'pg_class')
) AS facts
FROM tables
UNION ALL
SELECT r.kind, r.name, '', jsonb_build_object(
    'type', q.seqtypid::regtype, 'start', q.seqstart::text, 'increment', q.seqincrement::text, 'minimum', q.seqmin::text,
    'maximum', q.seqmax::text, 'cache', q.seqcache::text, 'cycle', CASE WHEN q.seqcycle THEN 'yes' END,
    'owned by', (
        SELECT format('%s.%I', d.refobjid::regclass, a.attname)
        FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'),
    'comment', obj_description(r.oid, 'pg_class'))
FROM relations r JOIN pg_sequence q ON q.seqrelid = r.oid
