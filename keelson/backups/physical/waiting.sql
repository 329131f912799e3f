SELECT archiver.last_archived_time AS archived,
       waiting.files AS waiting,
       waiting.files * pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS bytes,
       waiting.oldest,
       archiver.last_failed_time IS NOT NULL
           AND archiver.last_failed_time > coalesce(archiver.last_archived_time, '-infinity') AS failing,
       pg_catalog.pg_read_file(pg_catalog.current_setting('data_directory') || %(dropped)s, true) AS dropped,
       pg_catalog.statement_timestamp() AS at
FROM pg_catalog.pg_stat_archiver AS archiver,
     (SELECT count(*) AS files, min(modification) AS oldest
      FROM pg_catalog.pg_ls_archive_statusdir() WHERE name LIKE '%%.ready') AS waiting
