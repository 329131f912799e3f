-- The figures of a day are the sums of what its users did.
SELECT daily_metrics.day, metric_name, daily_metrics.value, measured.value AS value_of_the_activity
FROM (SELECT day, count(*) AS active_users, sum(page_views) AS page_views, sum(trades) AS trades FROM user_activity GROUP BY day) AS totals
CROSS JOIN LATERAL (VALUES ('active_users', active_users), ('page_views', page_views), ('trades', trades)) AS measured (metric_name, value)
JOIN daily_metrics USING (metric_name, day)
WHERE daily_metrics.dimensions = '{}'
  AND daily_metrics.value <> measured.value;
