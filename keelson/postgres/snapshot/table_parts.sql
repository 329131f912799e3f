SELECT t.kind, t.name, format('constraint %I', c.conname) AS part, jsonb_build_object(
    'definition', pg_get_constraintdef(c.oid), 'inherited', CASE WHEN NOT c.conislocal THEN 'yes' END,
    'comment', obj_description(c.oid, 'pg_constraint')
) AS facts
FROM tables t JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype IN ('c', 'f', 'p', 'u', 'x') AND c.conparentid = 0
UNION ALL
SELECT t.kind, t.name, format('index %I', c.relname), jsonb_build_object(
    'definition', replace(pg_get_indexdef(i.indexrelid), format(' INDEX %I ON ', c.relname), ' INDEX ON '),
    'valid', CASE WHEN NOT (i.indisvalid AND i.indisready) THEN 'no' END,
    'clustered', CASE WHEN i.indisclustered THEN 'yes' END,
    'comment', obj_description(i.indexrelid, 'pg_class'))
FROM tables t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT c.relispartition AND NOT EXISTS (
    SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.conrelid = t.oid AND o.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT t.kind, t.name, format('trigger %I', g.tgname), jsonb_build_object(
    'definition', pg_get_triggerdef(g.oid),
    'fires', CASE g.tgenabled WHEN 'D' THEN 'never' WHEN 'R' THEN 'on a replica' WHEN 'A' THEN 'always' END,
    'comment', obj_description(g.oid, 'pg_trigger'))
FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgparentid = 0
JOIN pg_proc p ON p.oid = g.tgfoid
WHERE p.pronamespace::regnamespace::text !~ '^_timescaledb'
UNION ALL
SELECT t.kind, t.name, format('policy %I', p.polname), jsonb_build_object(
    'permissive', CASE WHEN NOT p.polpermissive THEN 'no' END,
    'for', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
    'roles', (SELECT jsonb_agg(n ORDER BY n) FROM (
        SELECT CASE o WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(o) END AS n FROM unnest(p.polroles) o) r),
    'using', pg_get_expr(p.polqual, p.polrelid), 'with check', pg_get_expr(p.polwithcheck, p.polrelid),
    'comment', obj_description(p.oid, 'pg_policy'))
FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT t.kind, t.name, format('rule %I', r.rulename), jsonb_build_object(
    'definition', pg_get_ruledef(r.oid),
    'fires', CASE r.ev_enabled WHEN 'D' THEN 'never' WHEN 'R' THEN 'on a replica' WHEN 'A' THEN 'always' END)
FROM tables t JOIN pg_rewrite r ON r.ev_class = t.oid AND r.rulename <> '_RETURN'
UNION ALL
SELECT t.kind, t.name, format('statistics %I', s.stxname), jsonb_build_object('definition', s.definition)
FROM tables t, LATERAL (
    SELECT e.stxname, pg_get_statisticsobjdef(e.oid) AS definition FROM pg_statistic_ext e WHERE e.stxrelid = t.oid) s
