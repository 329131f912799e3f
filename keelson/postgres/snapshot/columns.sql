SELECT r.kind, r.name, format('column %I', a.attname) AS part, jsonb_build_object(
    'position', lpad(row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum)::text, 4, '0'),
    'type', format_type(a.atttypid, a.atttypmod),
    'collation', (SELECT c.oid::regcollation::text FROM pg_collation c WHERE c.oid = a.attcollation AND c.oid <> t.typcollation),
    'not null', CASE WHEN a.attnotnull THEN 'yes' END,
    'default', CASE a.attgenerated WHEN '' THEN pg_get_expr(d.adbin, d.adrelid) END,
    'generated', CASE WHEN a.attgenerated <> '' THEN
        concat(pg_get_expr(d.adbin, d.adrelid), CASE a.attgenerated WHEN 'v' THEN ' (virtual)' END) END,
    'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
    'identity options', (
        SELECT format('%s start %s increment %s minimum %s maximum %s cache %s%s', q.seqtypid::regtype, q.seqstart, q.seqincrement,
            q.seqmin, q.seqmax, q.seqcache, CASE WHEN q.seqcycle THEN ' cycle' END)
        FROM pg_depend s JOIN pg_sequence q ON q.seqrelid = s.objid
        WHERE a.attidentity <> '' AND s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass
          AND s.refobjid = r.oid AND s.refobjsubid = a.attnum AND s.deptype = 'i'),
    'storage', CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END,
    'compression', nullif(a.attcompression::text, ''),
    'statistics', CASE WHEN a.attstattarget >= 0 THEN a.attstattarget::text END,
    'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='),  -- a number of the server's own
    'inherited', CASE WHEN NOT a.attislocal THEN 'yes' END,
    'comment', col_description(r.oid, a.attnum)
) AS facts
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind <> 'S'
