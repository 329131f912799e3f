SELECT kind, name, '' AS part, jsonb_build_object(
    'arguments', pg_get_function_arguments(oid), 'result', pg_get_function_result(oid),
    'language', (SELECT l.lanname FROM pg_language l WHERE l.oid = prolang),
    'definition', CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid) END,
    'comment', obj_description(oid, 'pg_proc')
) || CASE WHEN prokind = 'a' THEN (
    SELECT jsonb_build_object(
        'state function', a.aggtransfn::regprocedure, 'state type', a.aggtranstype::regtype,
        'final function', nullif(a.aggfinalfn, 0)::regprocedure, 'combine function', nullif(a.aggcombinefn, 0)::regprocedure,
        'initial value', a.agginitval, 'parallel', proparallel::text, 'aggregate kind', a.aggkind::text)
    FROM pg_aggregate a WHERE a.aggfnoid = routines.oid
) ELSE '{}' END AS facts
FROM routines
UNION ALL
SELECT t.kind, t.name, '', jsonb_build_object(
    'labels', (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
    'type', CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
    'collation', CASE t.typtype WHEN 'd' THEN (
        SELECT t.typcollation::regcollation::text FROM pg_type b WHERE b.oid = t.typbasetype AND b.typcollation <> t.typcollation) END,
    'not null', CASE WHEN t.typnotnull THEN 'yes' END,
    'default', t.typdefault,
    'range', (
        SELECT format('of %s, %s, collation %s, canonical %s, difference %s', r.rngsubtype::regtype,
            (SELECT o.opcname FROM pg_opclass o WHERE o.oid = r.rngsubopc), r.rngcollation::regcollation, r.rngcanonical, r.rngsubdiff)
        FROM pg_range r WHERE r.rngtypid = t.oid),
    'input function', CASE t.typtype WHEN 'b' THEN t.typinput::regproc END,
    'comment', coalesce(obj_description(t.oid, 'pg_type'), obj_description(t.typrelid, 'pg_class')))
FROM types t
UNION ALL
SELECT t.kind, t.name, format('constraint %I', c.conname), jsonb_build_object(
    'definition', pg_get_constraintdef(c.oid), 'comment', obj_description(c.oid, 'pg_constraint'))
FROM types t JOIN pg_constraint c ON c.contypid = t.oid AND c.contype = 'c'
