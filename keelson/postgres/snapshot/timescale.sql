-- Columns that not every release of TimescaleDB has are asked of a row's JSON.
SELECT 'table' AS kind, format('%I.%I', d.hypertable_schema, d.hypertable_name) AS name,
    format('dimension %I', d.column_name) AS part, jsonb_build_object(
        'kind', d.dimension_type, 'interval', coalesce(d.time_interval::text, d.integer_interval::text),
        'partitions', d.num_partitions::text, 'now', d.integer_now_func::text
    ) AS facts
FROM timescaledb_information.dimensions d WHERE d.hypertable_schema !~ '^_timescaledb'
UNION ALL
SELECT 'table', format('%I.%I', h.hypertable_schema, h.hypertable_name), 'hypertable', jsonb_build_object(
    'compression', CASE WHEN (to_jsonb(h) ->> 'compression_enabled')::boolean THEN 'on' END, 'tablespaces', to_jsonb(h.tablespaces))
FROM timescaledb_information.hypertables h WHERE h.hypertable_schema !~ '^_timescaledb'
UNION ALL
SELECT 'table', format('%I.%I', n.nspname, c.relname), 'compression', jsonb_build_object(
    'segment by', to_jsonb(s) -> 'segmentby', 'order by', to_jsonb(s) -> 'orderby',
    'descending', to_jsonb(s) -> 'orderby_desc', 'nulls first', to_jsonb(s) -> 'orderby_nullsfirst')
FROM _timescaledb_catalog.compression_settings s  -- the view on it asks for rights in the table's schema
JOIN pg_class c ON c.oid = s.relid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^_timescaledb' AND c.relname !~ '^_hyper_\d+_\d+_chunk$'
UNION ALL
SELECT 'view', format('%I.%I', a.view_schema, a.view_name), 'continuous aggregate', jsonb_build_object(
    'query', a.view_definition, 'materialized only', a.materialized_only::text,
    'compression', CASE WHEN (to_jsonb(a) ->> 'compression_enabled')::boolean THEN 'on' END)
FROM timescaledb_information.continuous_aggregates a
UNION ALL
SELECT CASE WHEN a.view_name IS NOT NULL THEN 'view' WHEN j.hypertable_name IS NOT NULL THEN 'table' ELSE 'job' END,
    coalesce(
        quote_ident(a.view_schema) || '.' || quote_ident(a.view_name),
        quote_ident(j.hypertable_schema) || '.' || quote_ident(j.hypertable_name),
        format('%I.%I', j.proc_schema, j.proc_name)),
    CASE WHEN j.hypertable_name IS NOT NULL THEN format('job %I', j.proc_name) ELSE '' END,
    jsonb_build_object(
        'schedule', j.schedule_interval::text, 'scheduled', CASE WHEN NOT j.scheduled THEN 'no' END, 'owner', j.owner::text,
        'configuration', (j.config - 'hypertable_id' - 'mat_hypertable_id')::text)
FROM timescaledb_information.jobs j
LEFT JOIN timescaledb_information.continuous_aggregates a
    ON a.materialization_hypertable_schema = j.hypertable_schema AND a.materialization_hypertable_name = j.hypertable_name
WHERE j.job_id >= 1000
