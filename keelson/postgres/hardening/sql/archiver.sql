SELECT failed_count, coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), coalesce(last_failed_wal, '')
FROM pg_catalog.pg_stat_archiver
