-- Tables whose changes are written to the trail, each row's and those of a TRUNCATE.
SELECT n.nspname || '.' || c.relname
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE p.pronamespace = to_regnamespace('audit') AND p.proname = 'record' AND t.tgenabled IN ('O', 'A')
GROUP BY 1
HAVING bit_or(t.tgtype::int) & 60 = 60
