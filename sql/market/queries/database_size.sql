-- How large the database is.
SELECT round(pg_database_size(current_database()) / 1024.0 / 1024.0, 1) AS size_mb;
