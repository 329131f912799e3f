-- What an extension needs comes with it.
SELECT e.extname::text AS object, 'version ' || e.extversion AS what
FROM pg_catalog.pg_extension e
WHERE %(extensions)s::name[] IS NOT NULL AND e.extname NOT IN (
    WITH RECURSIVE allowed(name) AS (
        SELECT unnest(%(extensions)s::name[])
        UNION SELECT unnest(v.requires) FROM allowed
        JOIN pg_catalog.pg_available_extension_versions v ON v.name = allowed.name AND v.installed
    ) SELECT name FROM allowed)
