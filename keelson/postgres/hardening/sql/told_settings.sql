-- What a login is told that may not read the server's files, without what this session asked for itself.
SELECT name, setting FROM pg_catalog.pg_settings
WHERE source NOT IN ('client', 'session', 'interactive', 'global', 'database', 'user', 'database user')
