-- A run is done a day after it began.
SELECT id, report_id, status, started_at
FROM report_runs
WHERE status = 'running'
  AND started_at < NOW() - INTERVAL '1 day';
