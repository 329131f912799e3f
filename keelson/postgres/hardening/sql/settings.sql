-- What a session gets that asks for nothing of its own: this one asks for some.
WITH files AS (
    SELECT DISTINCT ON (name) name, setting FROM pg_catalog.pg_file_settings WHERE applied ORDER BY name, seqno DESC
)
SELECT s.name, CASE WHEN s.source IN ('client', 'session', 'interactive', 'global', 'database', 'user', 'database user')
    THEN coalesce(f.setting, s.boot_val) ELSE s.setting END
FROM pg_catalog.pg_settings s LEFT JOIN files f USING (name)
